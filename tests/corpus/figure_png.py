import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(6, 3))
axes[0].hist([1, 2, 2, 3, 3, 3], bins=3)
axes[1].bar(["a", "b"], [1, 2])
axes[1].set_title(r"$\alpha_i = \frac{1}{2}$")
figure.tight_layout()
figure.savefig("/data/outputs/figure.png", dpi=100)
