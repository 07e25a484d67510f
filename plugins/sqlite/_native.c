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

#include "_native_commit.h"

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
