from PIL import Image

Image.new("RGB", (60, 20), "white").save("/data/outputs/image.jpg")
