from tests.tea import ana, bob, memos

__all__ = ["ana", "bob", "memos"]
