/*
 * One group commit as one native call: what `commit.write` does inside `Sessions.transaction`, without the
 * interpreter. `commit` and `ids` say in Python what has to happen, and serve where this is not compiled; both
 * pass the same tests. The SQL stands in `native.py`.
 *
 * A connection of its own is opened, since sqlite3 does not give away the one it has: within one library, connections
 * of a process share their locks as those of several processes do.
 *
 * The interpreter's lock is held while texts and bytes are looked up in the requests, and again when outcomes are
 * handed out; in between nothing of Python is touched. What the pointers point into is kept alive by `held`.
 *
 * SQLite is the one that Python's own module `_sqlite3` has loaded, never a second copy: POSIX locks belong to the
 * process, so one copy would silently give back the locks of the other. It is found by name in that module's library.
 */
#define Py_LIMITED_API 0x030b0000
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

/* ---- SQLite, as far as it is used ------------------------------------------------------------------------- */

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;

enum { SQLITE_OK = 0, SQLITE_NOMEM = 7, SQLITE_MISUSE = 21, SQLITE_ROW = 100, SQLITE_DONE = 101 };
enum { OPEN_READWRITE = 0x2, OPEN_URI = 0x40, OPEN_NOMUTEX = 0x8000, PREPARE_PERSISTENT = 0x1, UTF8 = 1 };

#define FUNCTIONS(X)                                                                                                   \
    X(const char *, libversion, (void))                                                                                \
    X(int, threadsafe, (void))                                                                                         \
    X(int, open_v2, (const char *, sqlite3 **, int, const char *))                                                     \
    X(int, close_v2, (sqlite3 *))                                                                                      \
    X(int, busy_timeout, (sqlite3 *, int))                                                                             \
    X(int, exec, (sqlite3 *, const char *, void *, void *, char **))                                                   \
    X(int, prepare_v3, (sqlite3 *, const char *, int, unsigned, sqlite3_stmt **, const char **))                       \
    X(int, finalize, (sqlite3_stmt *))                                                                                 \
    X(int, bind_blob64, (sqlite3_stmt *, int, const void *, uint64_t, void (*)(void *)))                               \
    X(int, bind_text64, (sqlite3_stmt *, int, const char *, uint64_t, void (*)(void *), unsigned char))                \
    X(int, bind_int64, (sqlite3_stmt *, int, int64_t))                                                                 \
    X(int, bind_null, (sqlite3_stmt *, int))                                                                           \
    X(int, step, (sqlite3_stmt *))                                                                                     \
    X(int, reset, (sqlite3_stmt *))                                                                                    \
    X(int64_t, column_int64, (sqlite3_stmt *, int))                                                                    \
    X(const void *, column_blob, (sqlite3_stmt *, int))                                                                \
    X(int, column_bytes, (sqlite3_stmt *, int))                                                                        \
    X(int, changes, (sqlite3 *))                                                                                       \
    X(int, extended_errcode, (sqlite3 *))                                                                              \
    X(int, extended_result_codes, (sqlite3 *, int))                                                                    \
    X(const char *, errmsg, (sqlite3 *))

#define POINTER(result, name, arguments) static result(*sql_##name) arguments;
FUNCTIONS(POINTER)

/* ---- One commit ------------------------------------------------------------------------------------------- */

/* The statements, in the order of `native.STATEMENTS`. */
enum {
    BEGIN, FACTS, FOLLOW, FIND_LATEST, FIND_SMALL, FIND_INDEX, FIND_OLDER, EVENT, LOG, LIST, COUNT, MOVE, MOVED, GROW,
    COMMIT, STATEMENTS
};
enum { KEY = 16 }; /* bytes of a key, see `commit.key_of` */

typedef struct {
    const char *at;
    Py_ssize_t length;
} Bytes;

/* What is known of one key: since when (0: nothing), with which fingerprint. */
typedef struct {
    int64_t offset;
    Bytes fingerprint;
    void *copy;       /* of a fingerprint that came out of the database; ours to free */
    size_t learnt_of; /* the number, from 1, of the request that brought it; 0: the database did */
} Known;

typedef struct {
    const char *key;
    Bytes type, source, subject, fingerprint, json; /* subject.at may be NULL */
    int deliver;
    Known *known;    /* shared by the rows that have the same key */
    int64_t offset;  /* that it gets, 0 if it is not new */
    int64_t outcome; /* as in `commit`: a new offset, minus that of the first copy, CONFLICT or NOTHING */
} Row;

enum { CONFLICT = 0 };
#define NOTHING INT64_MIN

typedef struct {
    size_t first, count; /* among the rows */
    int atomic;
} Request;

enum Trouble { NONE, SQL, SYSTEM, LATE };

typedef struct {
    size_t rows_count, requests_count, distinct;
    Row *rows;
    Row **sorted; /* by their keys: neighbours share pages, and equal ones meet */
    Known *known;
    Request *requests;
    long long received, latest, room, pace; /* the last three as in `ids` */
    int gate, write;
    double deadline;
    int64_t head, listed, turn, recent;
    char epoch[256];
    enum Trouble trouble;
    int code; /* of SQLite, or errno */
    char message[512];
} Batch;

/* Where the keys that stand in no index stand in the log: `ids.Latest`, as an open hash table. */
typedef struct {
    char key[KEY];
    int64_t offset; /* 0: the slot is free */
} Place;

typedef struct {
    Place *slots;
    size_t size, used; /* size is a power of two, or 0 */
    int64_t listed, head;
} Latest;

/* Used by one call at a time: `session.Pool` sees to it. After trouble it is good for nothing but closing. */
typedef struct {
    PyObject_HEAD
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
    Latest latest;
} Connection;

static int by_key(const void *one, const void *other) {
    const Row *a = *(Row *const *)one, *b = *(Row *const *)other;
    return memcmp(a->key, b->key, KEY);
}

static int same(const Bytes *a, const Bytes *b) {
    return a->length == b->length && memcmp(a->at, b->at, (size_t)a->length) == 0;
}

static int failed(Batch *batch, Connection *self, int code) {
    batch->trouble = SQL;
    batch->code = code == SQLITE_NOMEM ? code : sql_extended_errcode(self->database);
    strncpy(batch->message, code == SQLITE_NOMEM ? "out of memory" : sql_errmsg(self->database), sizeof batch->message - 1);
    return 0;
}

/* Values are bound without a copy: their owners outlive the statement's next step, and none is read after that. */
static int bind(sqlite3_stmt *statement, int place, const Bytes *value) {
    return sql_bind_blob64(statement, place, value->at, (uint64_t)value->length, NULL);
}

static int bind_text(sqlite3_stmt *statement, int place, const Bytes *value) {
    if (value->at == NULL) return sql_bind_null(statement, place);
    return sql_bind_text64(statement, place, value->at, (uint64_t)value->length, NULL, UTF8);
}

/* Run a statement that returns nothing. `bound` is the results of binding or'ed: 0 when all are SQLITE_OK. */
static int run(Batch *batch, Connection *self, int which, int bound) {
    sqlite3_stmt *statement = self->statements[which];
    int code = bound ? bound : sql_step(statement);
    if (code != SQLITE_DONE) return failed(batch, self, code);
    sql_reset(statement);
    return 1;
}

/* Return the slot that a key has or would have. Keys are hashes already. */
static Place *slot_of(Place *slots, size_t size, const char *key) {
    uint64_t hash;
    memcpy(&hash, key + KEY - sizeof hash, sizeof hash);
    size_t at = hash & (size - 1);
    while (slots[at].offset && memcmp(slots[at].key, key, KEY) != 0) at = (at + 1) & (size - 1);
    return &slots[at];
}

static int grow_latest(Latest *latest) {
    size_t size = latest->size ? 2 * latest->size : 1024;
    Place *slots = calloc(size, sizeof *slots);
    if (slots == NULL) return 0;
    for (size_t at = 0; at < latest->size; at++)
        if (latest->slots[at].offset) *slot_of(slots, size, latest->slots[at].key) = latest->slots[at];
    free(latest->slots);
    latest->slots = slots;
    latest->size = size;
    return 1;
}

static int remember(Latest *latest, const char *key, int64_t offset) {
    if (2 * latest->used >= latest->size && !grow_latest(latest)) return 0;
    Place *slot = slot_of(latest->slots, latest->size, key);
    latest->used += slot->offset == 0;
    memcpy(slot->key, key, KEY);
    slot->offset = offset;
    return 1;
}

/* Learn what others have written, and forget what stands in the indexes. */
static int follow(Batch *batch, Connection *self) {
    Latest *latest = &self->latest;
    sqlite3_stmt *log = self->statements[FOLLOW];
    int code = SQLITE_DONE;
    if (batch->listed != latest->listed) {
        if (latest->size) memset(latest->slots, 0, latest->size * sizeof *latest->slots);
        latest->used = 0;
        latest->listed = latest->head = batch->listed;
    }
    if (batch->head == latest->head) return 1;
    if (sql_bind_int64(log, 1, latest->head) != SQLITE_OK) return failed(batch, self, SQLITE_NOMEM);
    while ((code = sql_step(log)) == SQLITE_ROW)
        if (sql_column_bytes(log, 0) == KEY && !remember(latest, sql_column_blob(log, 0), sql_column_int64(log, 1)))
            return failed(batch, self, SQLITE_NOMEM);
    if (code != SQLITE_DONE) return failed(batch, self, code);
    sql_reset(log);
    latest->head = batch->head;
    return 1;
}

static int read_facts(Batch *batch, Connection *self, int *older) {
    sqlite3_stmt *facts = self->statements[FACTS];
    int code = sql_step(facts);
    if (code != SQLITE_ROW) return failed(batch, self, code);
    int length = sql_column_bytes(facts, 0);
    if ((size_t)length >= sizeof batch->epoch) length = sizeof batch->epoch - 1;
    memcpy(batch->epoch, sql_column_blob(facts, 0), (size_t)length);
    batch->head = sql_column_int64(facts, 1);
    batch->listed = sql_column_int64(facts, 2);
    batch->turn = sql_column_int64(facts, 3);
    batch->recent = sql_column_int64(facts, 4);
    *older = sql_column_int64(facts, 5) != 0;
    sql_reset(facts);
    return 1;
}

static int find(Batch *batch, Connection *self, int which, const char *key, Known *known) {
    sqlite3_stmt *statement = self->statements[which];
    Bytes asked = {key, KEY};
    int code = bind(statement, 1, &asked);
    if (code == SQLITE_OK && which == FIND_LATEST) {
        const Place *place = self->latest.size ? slot_of(self->latest.slots, self->latest.size, key) : NULL;
        if (place == NULL || place->offset == 0) return 1;
        code = sql_bind_int64(statement, 2, place->offset);
    }
    if (code == SQLITE_OK) code = sql_step(statement);
    if (code == SQLITE_ROW) {
        known->offset = sql_column_int64(statement, 1);
        known->fingerprint.length = sql_column_bytes(statement, 0);
        known->copy = malloc((size_t)known->fingerprint.length + 1);
        if (known->copy == NULL) return failed(batch, self, SQLITE_NOMEM);
        if (known->fingerprint.length) memcpy(known->copy, sql_column_blob(statement, 0), (size_t)known->fingerprint.length);
        known->fingerprint.at = known->copy;
    } else if (code != SQLITE_DONE) {
        return failed(batch, self, code);
    }
    sql_reset(statement);
    return 1;
}

static int look_up(Batch *batch, Connection *self) {
    int older = 0;
    if (!read_facts(batch, self, &older) || !follow(batch, self)) return 0;
    Row *before = NULL;
    for (size_t at = 0; at < batch->rows_count; at++) {
        Row *row = batch->sorted[at];
        if (before && memcmp(before->key, row->key, KEY) == 0) {
            row->known = before->known;
            continue;
        }
        Known *known = row->known = &batch->known[batch->distinct++];
        for (int which = FIND_LATEST; which <= (older ? FIND_OLDER : FIND_INDEX) && !known->offset; which++)
            if (!find(batch, self, which, row->key, known)) return 0;
        before = row;
    }
    return 1;
}

/* Forget what a request has taught, which is refused as a whole. */
static void take_back(Batch *batch, const Request *request, size_t number) {
    for (size_t at = request->first; at < request->first + request->count; at++) {
        Row *row = &batch->rows[at];
        row->offset = 0;
        if (row->known->learnt_of == number && row->outcome != CONFLICT) row->outcome = NOTHING;
    }
    for (size_t at = request->first; at < request->first + request->count; at++) {
        Known *known = batch->rows[at].known;
        if (known->learnt_of == number) *known = (Known){0};
    }
}

/* Give each row of a request its outcome, as `commit._decide`. */
static void decide(Batch *batch, const Request *request, size_t number) {
    int64_t head = batch->head;
    int conflict = 0;
    for (size_t at = request->first; at < request->first + request->count; at++) {
        Row *row = &batch->rows[at];
        Known *known = row->known;
        if (known->offset == 0) {
            known->offset = row->offset = row->outcome = ++head;
            known->fingerprint = row->fingerprint;
            known->learnt_of = number;
        } else {
            row->outcome = same(&known->fingerprint, &row->fingerprint) ? -known->offset : CONFLICT;
            conflict |= row->outcome == CONFLICT;
        }
    }
    if (conflict && request->atomic)
        take_back(batch, request, number);
    else
        batch->head = head;
}

static int insert_event(Batch *batch, Connection *self, const Row *row) {
    sqlite3_stmt *event = self->statements[EVENT];
    int bound = bind_text(event, 1, &row->type) | bind_text(event, 2, &row->source) | bind_text(event, 3, &row->subject) |
                sql_bind_int64(event, 4, batch->received) | sql_bind_int64(event, 5, row->deliver) |
                bind(event, 6, &row->json) | sql_bind_int64(event, 7, row->offset);
    return run(batch, self, EVENT, bound);
}

static int insert_id(Batch *batch, Connection *self, const Row *row) {
    sqlite3_stmt *log = self->statements[LOG];
    Bytes key = {row->key, KEY};
    int bound = sql_bind_int64(log, 1, row->offset) | bind(log, 2, &key) | bind(log, 3, &row->fingerprint) |
                sql_bind_int64(log, 4, batch->received);
    return run(batch, self, LOG, bound);
}

/* Enter the latest keys into the small index, once they are many. */
static int list(Batch *batch, Connection *self) {
    if (batch->head - batch->listed <= batch->latest) return 1;
    if (!run(batch, self, LIST, sql_bind_int64(self->statements[LIST], 1, batch->listed))) return 0;
    int code = sql_step(self->statements[COUNT]);
    if (code != SQLITE_ROW) return failed(batch, self, code);
    batch->recent = sql_column_int64(self->statements[COUNT], 0);
    sql_reset(self->statements[COUNT]);
    batch->listed = batch->head;
    return 1;
}

/* Move some of the keys in the small index on into the large one. Both as `ids.index`. */
static int move(Batch *batch, Connection *self, int64_t added) {
    enum { PARTS = 256 };
    int64_t surplus = batch->recent - batch->room;
    if (surplus > batch->pace * added) surplus = batch->pace * added;
    if (surplus <= 0) return 1;
    int64_t until = batch->turn + (surplus * PARTS + batch->recent - 1) / batch->recent;
    if (until > PARTS) until = PARTS;
    char from = (char)batch->turn, to = (char)until;
    Bytes first = {&from, 1}, last = {until < PARTS ? &to : "\xff\xff\xff\xff\xff\xff\xff", until < PARTS ? 1 : 7};
    for (int which = MOVE; which <= MOVED; which++) {
        sqlite3_stmt *statement = self->statements[which];
        if (!run(batch, self, which, bind(statement, 1, &first) | bind(statement, 2, &last))) return 0;
    }
    batch->turn = until % PARTS;
    batch->recent -= sql_changes(self->database);
    return 1;
}

static int insert(Batch *batch, Connection *self, int64_t added) {
    int64_t size = 0;
    for (size_t at = 0; at < batch->rows_count; at++) {
        const Row *row = &batch->rows[at];
        size += row->offset ? row->json.length : 0;
        if (row->offset && !insert_event(batch, self, row)) return 0;
    }
    for (size_t at = 0; at < batch->rows_count; at++) {
        const Row *row = &batch->rows[at];
        if (row->offset && !insert_id(batch, self, row)) return 0;
        if (row->offset && !remember(&self->latest, row->key, row->offset)) return failed(batch, self, SQLITE_NOMEM);
    }
    self->latest.head = batch->head;
    if (!list(batch, self) || !move(batch, self, added)) return 0;
    int64_t values[] = {batch->head, added, size, added, batch->listed, batch->turn, batch->recent};
    int bound = SQLITE_OK;
    for (int place = 0; place < 7; place++)
        bound |= sql_bind_int64(self->statements[GROW], place + 1, values[place]);
    return run(batch, self, GROW, bound);
}

static int lock(Batch *batch, int descriptor, int how) {
    while (flock(descriptor, how) != 0) {
        if (errno == EINTR) continue;
        batch->trouble = SYSTEM;
        batch->code = errno;
        return 0;
    }
    return 1;
}

/* The whole commit; runs without the interpreter's lock. After trouble the connection is to be closed, which rolls
 * back, and the descriptors as well, which gives the turn back. */
static void commit(Batch *batch, Connection *self) {
    struct timespec now;
    if (!lock(batch, batch->gate, LOCK_EX) || !lock(batch, batch->write, LOCK_EX) || !lock(batch, batch->gate, LOCK_UN))
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((double)now.tv_sec + (double)now.tv_nsec / 1e9 > batch->deadline) {
        batch->trouble = LATE;
        return;
    }
    if (!run(batch, self, BEGIN, SQLITE_OK) || !look_up(batch, self)) return;
    int64_t before = batch->head;
    for (size_t number = 0; number < batch->requests_count; number++)
        decide(batch, &batch->requests[number], number + 1);
    int64_t added = batch->head - before;
    if (added && !insert(batch, self, added)) return;
    if (!run(batch, self, COMMIT, SQLITE_OK)) return;
    lock(batch, batch->write, LOCK_UN);
    if (!added) batch->head = 0;
}

/* ---- Between Python and the batch ------------------------------------------------------------------------- */

/* Return the two tuples of a request, which keep its bytes alive; NULL with an error set. */
static PyObject *hold(PyObject *request) {
    PyObject *entries = PyObject_GetAttrString(request, "entries"), *keys = PyObject_GetAttrString(request, "keys");
    PyObject *held = NULL, *both[2] = {NULL, NULL};
    if (entries && keys) {
        both[0] = PySequence_Tuple(entries);
        both[1] = PySequence_Tuple(keys);
        if (both[0] && both[1]) held = PyTuple_Pack(2, both[0], both[1]);
        if (held && PyTuple_Size(both[0]) != PyTuple_Size(both[1])) {
            PyErr_SetString(PyExc_ValueError, "a request has as many keys as entries");
            Py_CLEAR(held);
        }
    }
    Py_XDECREF(entries);
    Py_XDECREF(keys);
    Py_XDECREF(both[0]);
    Py_XDECREF(both[1]);
    return held;
}

/* Point a row at the bytes of an `Entry` and its key. */
static int point(Row *row, PyObject *entry, PyObject *key) {
    row->key = PyBytes_AsString(key);
    if (row->key == NULL) return 0;
    if (PyBytes_Size(key) != KEY) {
        PyErr_Format(PyExc_ValueError, "a key has %d bytes", KEY);
        return 0;
    }
    return PyArg_ParseTuple(entry, "Us#s#z#y#y#p;an entry that cannot be stored", &(PyObject *){NULL}, &row->source.at,
                            &row->source.length, &row->type.at, &row->type.length, &row->subject.at,
                            &row->subject.length, &row->fingerprint.at, &row->fingerprint.length, &row->json.at,
                            &row->json.length, &row->deliver);
}

static int fill(Batch *batch, PyObject *requests, PyObject *held) {
    Row *row = batch->rows;
    for (size_t number = 0; number < batch->requests_count; number++) {
        PyObject *both = PyTuple_GetItem(held, (Py_ssize_t)number);
        PyObject *entries = PyTuple_GetItem(both, 0), *keys = PyTuple_GetItem(both, 1);
        PyObject *atomic = PyObject_GetAttrString(PyTuple_GetItem(requests, (Py_ssize_t)number), "atomic");
        if (atomic == NULL) return 0;
        Request *request = &batch->requests[number];
        request->atomic = PyObject_IsTrue(atomic);
        Py_DECREF(atomic);
        request->first = (size_t)(row - batch->rows);
        request->count = (size_t)PyTuple_Size(entries);
        for (size_t at = 0; at < request->count; at++, row++) {
            if (!point(row, PyTuple_GetItem(entries, (Py_ssize_t)at), PyTuple_GetItem(keys, (Py_ssize_t)at))) return 0;
            batch->sorted[row - batch->rows] = row;
        }
    }
    return 1;
}

/* Make room for the rows and fill them; returns what is to be kept until the batch is let go. */
static PyObject *gather(Batch *batch, PyObject *requests) {
    batch->requests_count = (size_t)PyTuple_Size(requests);
    PyObject *held = PyTuple_New((Py_ssize_t)batch->requests_count);
    for (size_t number = 0; held && number < batch->requests_count; number++) {
        PyObject *both = hold(PyTuple_GetItem(requests, (Py_ssize_t)number));
        if (both == NULL) {
            Py_CLEAR(held);
            break;
        }
        batch->rows_count += (size_t)PyTuple_Size(PyTuple_GetItem(both, 0));
        PyTuple_SetItem(held, (Py_ssize_t)number, both);
    }
    if (held == NULL) return NULL;
    batch->rows = calloc(batch->rows_count + 1, sizeof *batch->rows);
    batch->sorted = calloc(batch->rows_count + 1, sizeof(Row *));
    batch->known = calloc(batch->rows_count + 1, sizeof *batch->known);
    batch->requests = calloc(batch->requests_count + 1, sizeof *batch->requests);
    if (!batch->rows || !batch->sorted || !batch->known || !batch->requests)
        PyErr_NoMemory();
    else if (fill(batch, requests, held))
        return held;
    Py_DECREF(held);
    return NULL;
}

static void let_go(Batch *batch) {
    for (size_t at = 0; at < batch->distinct; at++) free(batch->known[at].copy);
    free(batch->rows);
    free(batch->sorted);
    free(batch->known);
    free(batch->requests);
}

/* Set `outcomes` and `epoch` of a request. */
static int answer(const Batch *batch, PyObject *object, const Request *request) {
    PyObject *outcomes = PyList_New((Py_ssize_t)request->count);
    PyObject *epoch = PyUnicode_FromString(batch->epoch);
    int good = outcomes && epoch;
    for (size_t at = 0; good && at < request->count; at++) {
        int64_t outcome = batch->rows[request->first + at].outcome;
        PyObject *number = outcome == NOTHING ? Py_NewRef(Py_None) : PyLong_FromLongLong(outcome);
        good = number && PyList_SetItem(outcomes, (Py_ssize_t)at, number) == 0;
    }
    good = good && PyObject_SetAttrString(object, "outcomes", outcomes) == 0 &&
           PyObject_SetAttrString(object, "epoch", epoch) == 0;
    Py_XDECREF(outcomes);
    Py_XDECREF(epoch);
    return good;
}

/* ---- The type --------------------------------------------------------------------------------------------- */

static PyObject *Failure; /* (code, message) of SQLite */

static PyObject *fail(int code, const char *message) {
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace"); /* it may be cut short */
    PyObject *values = text ? Py_BuildValue("(iN)", code, text) : NULL;
    if (values) PyErr_SetObject(Failure, values);
    Py_XDECREF(values);
    return NULL;
}

static PyObject *raise_trouble(const Batch *batch) {
    if (batch->trouble == SQL) return fail(batch->code, batch->message);
    errno = batch->trouble == LATE ? ETIMEDOUT : batch->code;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *connection_write(Connection *self, PyObject *arguments) {
    Batch batch = {0};
    PyObject *requests;
    if (!PyArg_ParseTuple(arguments, "O!L(LLL)iid", &PyTuple_Type, &requests, &batch.received, &batch.latest,
                          &batch.room, &batch.pace, &batch.gate, &batch.write, &batch.deadline))
        return NULL;
    if (self->database == NULL) return fail(SQLITE_MISUSE, "the connection is closed");
    PyObject *held = gather(&batch, requests), *head = NULL;
    if (held) {
        Py_BEGIN_ALLOW_THREADS
        qsort(batch.sorted, batch.rows_count, sizeof(Row *), by_key);
        commit(&batch, self);
        Py_END_ALLOW_THREADS
        int good = batch.trouble == NONE;
        for (size_t number = 0; good && number < batch.requests_count; number++)
            good = answer(&batch, PyTuple_GetItem(requests, (Py_ssize_t)number), &batch.requests[number]);
        if (batch.trouble != NONE) raise_trouble(&batch);
        if (good) head = PyLong_FromLongLong(batch.head);
        Py_DECREF(held);
    }
    let_go(&batch);
    return head;
}

static void shut(Connection *self) {
    for (int which = 0; which < STATEMENTS; which++) {
        sql_finalize(self->statements[which]);
        self->statements[which] = NULL;
    }
    sql_close_v2(self->database);
    self->database = NULL;
}

static PyObject *connection_close(Connection *self, PyObject *nothing) {
    (void)nothing;
    Py_BEGIN_ALLOW_THREADS
    shut(self);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static int open_database(Connection *self, const char *uri, int patience, const char *setup, const char **statements) {
    int code = sql_open_v2(uri, &self->database, OPEN_READWRITE | OPEN_URI | OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) code = sql_extended_result_codes(self->database, 1);
    if (code == SQLITE_OK) code = sql_busy_timeout(self->database, patience);
    if (code == SQLITE_OK) code = sql_exec(self->database, setup, NULL, NULL, NULL);
    for (int which = 0; code == SQLITE_OK && which < STATEMENTS; which++)
        code = sql_prepare_v3(self->database, statements[which], -1, PREPARE_PERSISTENT, &self->statements[which], NULL);
    return code;
}

static PyObject *connection_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    const char *uri, *setup, *statements[STATEMENTS];
    PyObject *texts;
    int patience, code;
    (void)named;
    if (!PyArg_ParseTuple(arguments, "sisO!", &uri, &patience, &setup, &PyTuple_Type, &texts)) return NULL;
    if (PyTuple_Size(texts) != STATEMENTS) return PyErr_Format(PyExc_ValueError, "%d statements", STATEMENTS);
    for (int which = 0; which < STATEMENTS; which++)
        if ((statements[which] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(texts, which), NULL)) == NULL) return NULL;
    Connection *self = (Connection *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) return NULL;
    self->latest.listed = self->latest.head = -1;
    Py_BEGIN_ALLOW_THREADS
    code = open_database(self, uri, patience, setup, statements);
    Py_END_ALLOW_THREADS
    if (code == SQLITE_OK) return (PyObject *)self;
    if (self->database) fail(sql_extended_errcode(self->database), sql_errmsg(self->database));
    else PyErr_NoMemory();
    Py_DECREF(self);
    return NULL;
}

static void connection_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    shut((Connection *)self);
    free(((Connection *)self)->latest.slots);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef connection_methods[] = {
    {"write", (PyCFunction)connection_write, METH_VARARGS, NULL},
    {"close", (PyCFunction)connection_close, METH_NOARGS, NULL},
    {0},
};

static PyType_Slot connection_slots[] = {
    {Py_tp_new, connection_new},
    {Py_tp_dealloc, connection_dealloc},
    {Py_tp_methods, connection_methods},
    {0},
};

static PyType_Spec connection_spec = {
    .name = "eventstream_plugins.sqlite._native.Connection",
    .basicsize = sizeof(Connection),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = connection_slots,
};

/* ---- The module ------------------------------------------------------------------------------------------- */

/* Find SQLite in the library at `path`, which is loaded already. */
static int find_sqlite(const char *path, const char *version) {
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL) return 0;
#define FIND(result, name, arguments)                                                                                  \
    if ((*(void **)&sql_##name = dlsym(library, "sqlite3_" #name)) == NULL) return 0;
    FUNCTIONS(FIND)
    return strcmp(sql_libversion(), version) == 0 && sql_threadsafe() != 0;
}

static int load(PyObject *module) {
    PyObject *inner = PyImport_ImportModule("_sqlite3"), *file = NULL, *version = NULL, *type = NULL;
    const char *path = NULL, *expected = NULL;
    if (inner) file = PyObject_GetAttrString(inner, "__file__");
    if (file) version = PyObject_GetAttrString(inner, "sqlite_version");
    if (version) path = PyUnicode_AsUTF8AndSize(file, NULL);
    if (path) expected = PyUnicode_AsUTF8AndSize(version, NULL);
    int found = expected && find_sqlite(path, expected);
    if (!found) PyErr_SetString(PyExc_ImportError, "the SQLite of Python's own module cannot be reached");
    if (found) Failure = PyErr_NewException("eventstream_plugins.sqlite._native.Failure", NULL, NULL);
    if (Failure) type = PyType_FromSpec(&connection_spec);
    int good = type && PyModule_AddObjectRef(module, "Failure", Failure) == 0 &&
               PyModule_AddObjectRef(module, "Connection", type) == 0;
    Py_XDECREF(inner);
    Py_XDECREF(file);
    Py_XDECREF(version);
    Py_XDECREF(type);
    return good ? 0 : -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, load}, {0}};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = 0, .m_slots = module_slots};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
