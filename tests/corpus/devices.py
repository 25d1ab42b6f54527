import contextlib, os

with open(os.devnull, "w") as null, contextlib.redirect_stdout(null):
    print("not seen")
print(len(open("/dev/urandom", "rb").read(16)), open("/dev/zero", "rb").read(2), open("/dev/null").read() == "")
