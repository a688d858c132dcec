"""Threads that read parts of a file and put results into a sqlite database."""

import argparse
import concurrent.futures
import sqlite3
import threading

parser = argparse.ArgumentParser()
parser.add_argument("--workers", type=int, default=3)
parser.add_argument("--database", default="words.sqlite")
args = parser.parse_args()

lock = threading.Lock()
connection = sqlite3.connect(args.database, check_same_thread=False)
connection.execute("CREATE TABLE lengths (word TEXT PRIMARY KEY, length INTEGER)")


def keep(word):
    with lock:
        connection.execute("INSERT OR IGNORE INTO lengths VALUES (?, ?)", (word, len(word)))


with open("words.txt", encoding="utf-8") as file:
    words = file.read().split()
with concurrent.futures.ThreadPoolExecutor(args.workers) as pool:
    list(pool.map(keep, words))
connection.commit()
for length, count in connection.execute("SELECT length, count(*) FROM lengths GROUP BY length ORDER BY length"):
    print(length, "*" * count)
connection.close()
