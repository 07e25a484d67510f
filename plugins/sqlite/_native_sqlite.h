/* SQLite, as far as `_native.c` uses it: prototypes of our own, so that no header is needed to compile. */
#include <stdint.h>

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
