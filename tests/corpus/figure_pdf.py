from matplotlib.backends.backend_pdf import PdfPages
import matplotlib.pyplot as plt

with PdfPages("/data/outputs/report.pdf") as pages:
    for power in (1, 2):
        plt.figure()
        plt.plot([x ** power for x in range(10)])
        pages.savefig()
        plt.close()
