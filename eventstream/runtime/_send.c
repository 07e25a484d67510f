/* The loop of `send` behind `eventstream/runtime/send.py`, where the same stands in Python. Optional.
 *
 * Danger: descriptors are plain numbers here, and the interpreter lock is not held while they are used. That is
 * safe because only the thread that calls this closes them: connections belong to the greenlets of the worker's
 * loop, which stands still meanwhile, and other native threads (commits, slow calls) never own one. So no number
 * can be closed, and given to another socket, between the first `send` and the last.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/socket.h>

/* Returns the bytes sent (0: the socket is full), or -errno. */
static ssize_t send_one(int fd, const void *data, size_t size) {
    ssize_t sent;
    do sent = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

/* Returns [(index, sent or -errno)] of those that did not take all of it; NULL with an exception. */
static PyObject *short_ones(const ssize_t *sent, Py_ssize_t count, Py_ssize_t size) {
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        if (sent[i] == size) continue;
        PyObject *pair = Py_BuildValue("(nn)", i, (Py_ssize_t)sent[i]);
        if (!pair || PyList_Append(list, pair)) Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

static PyObject *send_each(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer fds, data; /* held until the end: nobody can free or resize them meanwhile */
    if (!PyArg_ParseTuple(arguments, "y*y*:send_each", &fds, &data)) return NULL;
    Py_ssize_t count = fds.len / (Py_ssize_t)sizeof(int);
    const int *fd = fds.buf;
    PyObject *answer = NULL;
    ssize_t *sent = PyMem_Malloc((size_t)count * sizeof *sent + 1);
    if (sent) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++) sent[i] = send_one(fd[i], data.buf, (size_t)data.len);
        Py_END_ALLOW_THREADS
        answer = short_ones(sent, count, data.len);
        PyMem_Free(sent);
    } else PyErr_NoMemory();
    PyBuffer_Release(&fds);
    PyBuffer_Release(&data);
    return answer;
}

static PyMethodDef methods[] = {
    {"send_each", send_each, METH_VARARGS, "Send one buffer to many sockets: see eventstream/runtime/send.py."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_send", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__send(void) { return PyModuleDef_Init(&definition); }
