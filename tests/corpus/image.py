from PIL import Image, ImageDraw, ImageFont

image = Image.new("RGB", (60, 20), "white")
ImageDraw.Draw(image).text((2, 2), "hello", fill="black", font=ImageFont.load_default())
image.save("/data/outputs/image.png")
image.save("/data/outputs/image.jpg")
