import yaml
from lxml import etree

root = etree.fromstring("<a><b>1</b></a>")
print(yaml.safe_dump({"b": int(root.findtext("b"))}).strip())
