"""Prepares a process that runs until a signal, before its large imports."""


def begin() -> None:
    """Let Ctrl-C end the process quietly during its imports, and let closed or full output streams not end it.

    The garbage collector stays off until `freeze_gc`: modules are no garbage, and it took a sixth of a start's CPU.
    """
    from runner_core.early_interrupt import leave_on_interrupt

    leave_on_interrupt()
    from runner_core.standard_streams import for_a_server

    for_a_server()
    import gc

    gc.disable()
