class Linear:
    def __init__(self, lr):
        self.lr = lr

    def loss(self, step):
        return 1.0 - self.lr * step
