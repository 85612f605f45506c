/* Libraries that are wrong in one way each: -DWRONG=n says in which. Loading any of them leaves a file, if WITNESS names one. */
#include "flowlab_op.h"

#ifdef WITNESS
__attribute__((constructor)) static void leave_a_trace(void)
{
    FILE *file = fopen(WITNESS, "w");
    if (file != NULL)
        fclose(file);
}
#endif

static int32_t fine(const flowlab_array *inputs, int32_t n_inputs, const flowlab_value *attrs, int32_t n_attrs, const flowlab_array *outputs, int32_t n_outputs,
                    char *message, int64_t message_size)
{
    (void)inputs, (void)n_inputs, (void)attrs, (void)n_attrs, (void)outputs, (void)n_outputs, (void)message, (void)message_size;
    return FLOWLAB_OK;
}

static const flowlab_input x[] = {{"x", WRONG == 11 ? 77 : FLOWLAB_IN_FLOAT, 0}, {WRONG == 21 ? "x" : "y", FLOWLAB_IN_FLOAT, 0}};
static const flowlab_attr attrs[] = {{"rate", WRONG == 20 ? 9 : FLOWLAB_ATTR_FLOAT, 0, {WRONG == 12 ? FLOWLAB_ATTR_INT : WRONG == 20 ? 9 : FLOWLAB_ATTR_FLOAT, 0, 0, 1.0, NULL, NULL}}};
static const char *const out[] = {WRONG == 18 ? "a b" : "out"};

static const flowlab_op table[] = {
    {WRONG == 7 ? "lower case" : WRONG == 14 ? "Relu" : WRONG == 15 ? "Matmul" : WRONG == 23 ? "Gradients" : "TestBroken", "Do nothing.", NULL,
     WRONG == 9 ? "Nobody" : WRONG == 10 ? "TestOther" : NULL,
     WRONG == 17 ? NULL : x, attrs, out, NULL, WRONG == 6 ? NULL : fine, WRONG == 19 ? -1 : WRONG == 22 ? 0 : WRONG == 21 ? 2 : 1, 1, 1, WRONG == 13 ? 0x80u : 0u},
    {WRONG == 8 ? "TestBroken" : "TestOther", "Do nothing.", NULL, NULL, x, attrs, out, NULL, fine, 1, 1, 1, 0},
};

#if WRONG == 1
#elif WRONG == 2 || WRONG == 3 || WRONG == 4 || WRONG == 5 || WRONG == 16
static const flowlab_library library = {
    FLOWLAB_ABI_VERSION, (int32_t)sizeof(flowlab_library) - (WRONG == 4) * 8, (int32_t)sizeof(flowlab_op) - (WRONG == 5) * 4, (int32_t)sizeof(flowlab_input),
    (int32_t)sizeof(flowlab_attr), (int32_t)sizeof(flowlab_value), (int32_t)sizeof(flowlab_type), (int32_t)sizeof(flowlab_array),
    "broken", "0", table, WRONG == 16 ? 0 : 2};
int32_t flowlab_abi_version(void) { return WRONG == 2 ? 99 : FLOWLAB_ABI_VERSION; }
const flowlab_library *flowlab_ops(void) { return WRONG == 3 ? NULL : &library; }
#else
FLOWLAB_OP_LIBRARY("broken", "0", table)
#endif
