import numpy as np

np.save("/data/outputs/a.npy", np.arange(10))
np.savez_compressed("/data/outputs/b.npz", x=np.eye(3))
np.savetxt("/data/outputs/c.csv", np.eye(2), delimiter=",")
