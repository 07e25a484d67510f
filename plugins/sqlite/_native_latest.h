/* Where the keys that stand in no index stand in the log: `ids.Latest`, as an open hash table. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEY = 16 }; /* bytes of a key, see `commit.key_of` */

typedef struct {
    char key[KEY];
    int64_t offset; /* 0: the slot is free */
} Place;

typedef struct {
    Place *slots;
    size_t size, used; /* size is a power of two, or 0 */
    int64_t listed, head;
} Latest;

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
