import logging, os

logging.basicConfig(filename=os.path.join(os.environ["LOGS"], "algorithm.log"), level=logging.INFO)
logging.info("started")
print(open("/data/logs/algorithm.log").read().strip())
