import base64, io
import matplotlib.pyplot as plt

plt.plot([1, 2, 3])
buffer = io.BytesIO()
plt.savefig(buffer, format="png")
with open("/data/outputs/page.html", "w") as page:
    page.write("<img src='data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode() + "'>")
