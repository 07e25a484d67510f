/*
 * One commit, from the rows to their outcomes: `commit.write`, `ids` and `Sessions.transaction` in C. Nothing of Python
 * is touched here, so that the interpreter's lock need not be held.
 */
#include <errno.h>
#include <sys/file.h>
#include <time.h>

#include "_native_latest.h"
#include "_native_sqlite.h"

/* The statements, in the order of `native.STATEMENTS`. */
enum {
    BEGIN, FACTS, FOLLOW, FIND_LATEST, FIND_SMALL, FIND_INDEX, FIND_OLDER, EVENT, LOG, LIST, COUNT, MOVE, MOVED, GROW,
    COMMIT, STATEMENTS
};
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
