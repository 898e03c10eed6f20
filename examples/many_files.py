"""Name the expressions in the files of a table, in chunks, and count them; any engine that carries tables can do so.

python examples/many_files.py list.csv        (a CSV with a column `path`)
"""

import sys

import pandas

from mien.scale import Expressions

expressions = Expressions("base", pictures="path", columns=["emotion", "confidence", "error"])
if __name__ == "__main__":  # engines that start processes read this file again
    chunks = pandas.read_csv(sys.argv[1], chunksize=1000)
    faces = pandas.concat(expressions(chunk).to_pandas() for chunk in chunks)
    for error in faces["error"].dropna():
        print(error, file=sys.stderr)
    print(faces.groupby("emotion")["confidence"].agg(["count", "mean"]).round(4).to_string())
