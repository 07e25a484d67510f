"""Files of the store `sqlite` as earlier versions wrote them, and what the programs of version 2 do with a file."""

import contextlib
import sqlite3

# What takes a file of the next version back to the one before it.
_BACK = {
    3: (
        "INSERT INTO id_small SELECT substr(key, 1, 6), offset FROM id_log WHERE offset > (SELECT listed FROM meta)",
        "ALTER TABLE id_small RENAME TO id_recent",
        "ALTER TABLE meta DROP COLUMN listed",
        "UPDATE meta SET recent = (SELECT count(*) FROM id_recent)",
    ),
    2: (
        "DROP VIEW ids",
        "INSERT INTO ids_2 SELECT key, fingerprint, offset, received FROM id_log",
        *(f"DROP TABLE {table}" for table in ("id_log", "id_recent", "id_index", "blocks")),
        "ALTER TABLE ids_2 RENAME TO ids",
        *(f"ALTER TABLE meta DROP COLUMN {name}" for name in ("recent", "turn", "swept", "indexed")),
    ),
    1: (
        "ALTER TABLE events DROP COLUMN hash",
        *(f"ALTER TABLE meta DROP COLUMN {name}" for name in ("anchor", "anchor_hash", "chained", "chain_hash")),
    ),
}


def take_back(path, version):
    """Make a file of an earlier version out of one of today's."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        for number in sorted(_BACK, reverse=True):
            if number >= version:
                for statement in _BACK[number]:
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


class Older:
    """A process of version 2 that has the file open: its statements, without its locks."""

    def __init__(self, path):
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._run = self._connection.execute

    def append(self, keys, received):
        """Store an event for each key that is not known, in one commit; return what was known of them."""
        self._run("BEGIN IMMEDIATE")
        marks = ",".join("?" * len(keys))
        rows = self._run(
            "SELECT NULL, epoch, head FROM meta UNION ALL SELECT 0, chain_hash, 0 FROM meta UNION ALL "
            f"SELECT key, fingerprint, offset FROM ids WHERE key IN ({marks})",
            keys,
        ).fetchall()
        known = {key: (fingerprint, offset) for key, fingerprint, offset in rows}
        head = known.pop(None)[1]
        known.pop(0)
        fresh = [key for key in keys if key not in known]
        for offset, key in enumerate(fresh, head + 1):
            self._run(
                "INSERT INTO events (type, source, subject, received, deliver, json, offset, hash) "
                "VALUES ('t', '/s', NULL, ?, 1, x'7b7d', ?, NULL)",
                (received, offset),
            )
            self._run(
                "INSERT INTO ids (key, fingerprint, offset, received) VALUES (?, x'00', ?, ?)", (key, offset, received)
            )
        count = len(fresh)
        self._run(
            "UPDATE meta SET head = ?, events = events + ?, bytes = bytes + ?, ids = ids + ?",
            (head + count, count, 2 * count, count),
        )
        self._run("COMMIT")
        return known

    def oldest(self):
        """Return when the oldest id came, as its metrics and its retention ask for it."""
        ((received,),) = self._run("SELECT (SELECT received FROM ids ORDER BY offset LIMIT 1) FROM meta").fetchall()
        return received

    def forget(self, last):
        """Forget the ids up to this offset."""
        count = len(self._run("SELECT offset FROM ids WHERE offset <= ?", (last,)).fetchall())
        self._run("BEGIN IMMEDIATE")
        self._run("DELETE FROM ids WHERE offset <= ?", (last,))
        self._run("UPDATE meta SET ids = ids - ?", (count,))
        self._run("COMMIT")

    def close(self):
        self._connection.close()
