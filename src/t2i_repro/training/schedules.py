"""Learning rates over epochs."""


def damsm_rate(epoch: int, initial: float, decay: float) -> float:
    """Rate of an epoch (from 0): decays once per epoch until it is no longer above a tenth of the initial one."""
    rate = initial
    for _ in range(epoch):
        if rate <= initial / 10:
            break
        rate *= decay
    return rate
