from multiprocessing import Process

if __name__ == "__main__":
    process = Process(target=print, args=("hello",))
    process.start()
    process.join()
