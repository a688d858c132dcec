def metres(centimetres):
    return centimetres / 100
