/* Operations for flowlab, written in C or C++.
 *
 * A library of operations is a shared library that exports two functions:
 *
 *     int32_t flowlab_abi_version(void);                     FLOWLAB_ABI_VERSION of the header that it was built with
 *     const flowlab_library *flowlab_ops(void);              its operations
 *
 * FLOWLAB_OP_LIBRARY at the end of this file writes both. In Python, fl.load_op_library("./libmine.so") loads it; nothing else ever does:
 * a graph file names operations, never libraries. flowlab refuses a library whose version or sizes are not its own, and says why.
 *
 *     cc -O2 -shared -fPIC -I "$(python -c 'import flowlab; print(flowlab.get_include())')" mine.c -o libmine.so
 *
 * An operation has
 *   - inputs, each with a name and a kind; all inputs but those of kind INT and BOOL share one dtype;
 *   - attributes, each with a name, a kind and perhaps a default;
 *   - outputs, each with a name;
 *   - a shape rule, called when a node is made and before every run. NULL stands for: one output, elementwise, NumPy's rule of broadcasting
 *     (for an operation that is a gradient: each output has the type of the input it is the derivative by);
 *   - a kernel, called with the arrays. It runs without Python's lock, on any thread, several at a time: it keeps no state;
 *   - perhaps a gradient: the name of another operation of the same library. That takes all inputs, then all outputs, then the derivative by
 *     each output (zeros of the output's dtype where nothing depends on it, so INT zeros for an INT output), and gives the derivative by each
 *     input that is neither INT nor BOOL, in their order. It has attributes of the same names and kinds, or some of them. It may have a
 *     gradient of its own.
 *
 * Rules and kernels return FLOWLAB_OK, or a status and a message (UTF-8, at most message_size bytes with its final zero): the person who
 * made the graph sees it, with the node's name. No exception may leave them, and they must not write to an input.
 *
 * This file is version 1 of the interface. A change that is not compatible gets another number.
 */
#ifndef FLOWLAB_OP_H
#define FLOWLAB_OP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FLOWLAB_ABI_VERSION 1
#define FLOWLAB_MAX_RANK 32

#ifdef __cplusplus
extern "C" {
#endif

/* What a rule or a kernel returns. */
enum {
    FLOWLAB_OK = 0,
    FLOWLAB_ERROR = 1,              /* for any other reason */
    FLOWLAB_BAD_SHAPE = 2,
    FLOWLAB_BAD_DTYPE = 3,
    FLOWLAB_BAD_ATTRIBUTE = 4,
    FLOWLAB_BAD_STRIDES = 5
};

/* dtypes */
enum {
    FLOWLAB_FLOAT32 = 1,
    FLOWLAB_FLOAT64 = 2,
    FLOWLAB_FLOAT16 = 3,            /* IEEE half, 2 bytes */
    FLOWLAB_INT64 = 4,
    FLOWLAB_INT32 = 5,
    FLOWLAB_INT16 = 6,
    FLOWLAB_INT8 = 7,
    FLOWLAB_UINT8 = 8,
    FLOWLAB_BOOL = 9,               /* 1 byte, 0 or 1 */
    FLOWLAB_UINT16 = 10,
    FLOWLAB_UINT32 = 11,
    FLOWLAB_UINT64 = 12
};

/* kinds of inputs */
enum {
    FLOWLAB_IN_NUMBER = 1,          /* floats and integers */
    FLOWLAB_IN_FLOAT = 2,
    FLOWLAB_IN_INT = 3,
    FLOWLAB_IN_BOOL = 4
};

/* kinds of attributes */
enum {
    FLOWLAB_ATTR_INT = 1,
    FLOWLAB_ATTR_FLOAT = 2,
    FLOWLAB_ATTR_BOOL = 3,
    FLOWLAB_ATTR_STRING = 4,
    FLOWLAB_ATTR_INTS = 5           /* a list of integers */
};

/* flags of an operation */
enum {
    FLOWLAB_STRIDED = 1,            /* the kernel follows any strides, 0 and negative ones too; without it inputs come contiguous, copied if need be */
    FLOWLAB_NOT_DIFFERENTIABLE = 2  /* its derivative is nothing, on purpose, as that of a comparison */
};

/* An array in memory. Outputs are contiguous (row-major) and hold no particular values yet. `data` is aligned for its dtype. */
typedef struct {
    void *data;
    int32_t dtype;
    int32_t ndim;
    const int64_t *shape;
    const int64_t *strides;         /* in bytes */
} flowlab_array;

/* What is known of a tensor before a run. A size is not negative; -1 is unknown; -2, -3, … are unknown sizes with names, the same number for
 * the same name: a rule that hands it on hands on the name. Before a run every size is known. */
typedef struct {
    int32_t dtype;
    int32_t ndim;
    int64_t shape[FLOWLAB_MAX_RANK];
} flowlab_type;

/* An attribute's value: the field of its kind is set. BOOL is in `i`. */
typedef struct {
    int32_t kind;
    int32_t count;                  /* of ints; of bytes of s */
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
} flowlab_value;

typedef struct {
    const char *name;               /* an identifier: it names the port */
    int32_t kind;
    int32_t reserved;               /* 0 */
} flowlab_input;

typedef struct {
    const char *name;               /* an identifier */
    int32_t kind;
    int32_t required;               /* 1: it has no default */
    flowlab_value initial;          /* the default, its kind as above */
} flowlab_attr;

typedef int32_t (*flowlab_rule_function)(const flowlab_type *inputs, int32_t n_inputs, const flowlab_value *attrs, int32_t n_attrs,
                                         flowlab_type *outputs, int32_t n_outputs, char *message, int64_t message_size);

typedef int32_t (*flowlab_kernel_function)(const flowlab_array *inputs, int32_t n_inputs, const flowlab_value *attrs, int32_t n_attrs,
                                           const flowlab_array *outputs, int32_t n_outputs, char *message, int64_t message_size);

typedef struct {
    const char *name;               /* the type, such as "SoftThreshold"; the Python function is soft_threshold */
    const char *doc;                /* its first line speaks to a learner */
    const char *latex;              /* a formula, or NULL */
    const char *gradient;           /* the name of another operation of this library, or NULL */
    const flowlab_input *inputs;
    const flowlab_attr *attrs;
    const char *const *outputs;     /* names */
    flowlab_rule_function rule;     /* or NULL */
    flowlab_kernel_function kernel;
    int32_t n_inputs;
    int32_t n_attrs;
    int32_t n_outputs;
    uint32_t flags;
} flowlab_op;

typedef struct {
    int32_t abi_version;            /* FLOWLAB_ABI_VERSION */
    int32_t size;                   /* sizeof(flowlab_library), and so on: how the library's compiler laid these structures out */
    int32_t size_of_op;
    int32_t size_of_input;
    int32_t size_of_attr;
    int32_t size_of_value;
    int32_t size_of_type;
    int32_t size_of_array;
    const char *name;
    const char *version;
    const flowlab_op *ops;
    int64_t n_ops;
} flowlab_library;

#if defined(_WIN32)
#define FLOWLAB_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define FLOWLAB_EXPORT __attribute__((visibility("default")))
#else
#define FLOWLAB_EXPORT
#endif

FLOWLAB_EXPORT int32_t flowlab_abi_version(void);
FLOWLAB_EXPORT const flowlab_library *flowlab_ops(void);

/* Write a message and return the status: return flowlab_fail(message, message_size, FLOWLAB_BAD_SHAPE, "x has %d axes", n); */
static inline int32_t flowlab_fail(char *message, int64_t message_size, int32_t status, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    if (message != NULL && message_size > 0)
        vsnprintf(message, (size_t)message_size, format, more);
    va_end(more);
    return status;
}

/* How many values an array has. */
static inline int64_t flowlab_count(const flowlab_array *array)
{
    int64_t count = 1;
    int32_t k;
    for (k = 0; k < array->ndim; k++)
        count *= array->shape[k];
    return count;
}

/* The address of a value by its number in row-major order, whatever the strides. */
static inline char *flowlab_at(const flowlab_array *array, int64_t number)
{
    char *at = (char *)array->data;
    int32_t k;
    for (k = array->ndim - 1; k >= 0; k--) {
        at += (number % array->shape[k]) * array->strides[k];
        number /= array->shape[k];
    }
    return at;
}

#ifdef __cplusplus
}
#define FLOWLAB_EXTERN_C extern "C"
#else
#define FLOWLAB_EXTERN_C
#endif

/* Both exported functions, for a table `static const flowlab_op table[] = {…};` of this file. */
#define FLOWLAB_OP_LIBRARY(library_name, library_version, table)                                                                          \
    FLOWLAB_EXTERN_C FLOWLAB_EXPORT int32_t flowlab_abi_version(void) { return FLOWLAB_ABI_VERSION; }                                     \
    FLOWLAB_EXTERN_C FLOWLAB_EXPORT const flowlab_library *flowlab_ops(void)                                                              \
    {                                                                                                                                     \
        static const flowlab_library library = {                                                                                          \
            FLOWLAB_ABI_VERSION, (int32_t)sizeof(flowlab_library), (int32_t)sizeof(flowlab_op), (int32_t)sizeof(flowlab_input),           \
            (int32_t)sizeof(flowlab_attr), (int32_t)sizeof(flowlab_value), (int32_t)sizeof(flowlab_type), (int32_t)sizeof(flowlab_array), \
            library_name, library_version, table, (int64_t)(sizeof(table) / sizeof((table)[0]))};                                         \
        return &library;                                                                                                                  \
    }

#endif
