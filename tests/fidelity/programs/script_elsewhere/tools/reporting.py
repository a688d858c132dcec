def report(path, values):
    with open(path, "w") as file:
        file.write("\n".join(map(str, values)))
    print(f"{path}: mean {sum(values) / len(values):.3f}")
