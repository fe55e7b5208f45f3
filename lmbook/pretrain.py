"""`python -m lmbook.pretrain`: the training command of `lmbook.training.pretrain`."""

from lmbook.training.pretrain import main

if __name__ == "__main__":
    main()
