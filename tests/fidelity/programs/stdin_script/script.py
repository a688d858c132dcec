import sys

with open("seen.txt", "w") as file:
    file.write(repr(sys.argv))
print("read from standard input", sys.argv[1:])
