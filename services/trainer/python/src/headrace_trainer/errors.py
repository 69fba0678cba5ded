"""The closed list of refusals, each with the exit code that the worker reads."""

from __future__ import annotations

EXIT_CODE_BY_CODE = {
    "SPEC_INVALID": 2,
    "DATA_UNREADABLE": 3,
    "DATA_HASH_MISMATCH": 3,
    "DATA_INVALID": 3,
    "TRAINING_FAILED": 3,
    "PARITY_FAILED": 4,
}


class TrainerError(Exception):
    """A refusal with a code from the closed list and a sentence saying what, which, and what to do."""

    def __init__(self, code: str, message: str) -> None:
        assert code in EXIT_CODE_BY_CODE, code
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def exit_code(self) -> int:
        return EXIT_CODE_BY_CODE[self.code]
