/* An example in C: a scaled tanh with its first and second derivative, and running sums along the last axis. */
#include <math.h>

#include "flowlab_op.h"

/* Every kernel below is written once for both floats. */
#define FOR_FLOATS(dtype, ...)                                                                                       \
    if ((dtype) == FLOWLAB_FLOAT32) { typedef float real; __VA_ARGS__ }                                                     \
    else if ((dtype) == FLOWLAB_FLOAT64) { typedef double real; __VA_ARGS__ }                                               \
    else return flowlab_fail(message, message_size, FLOWLAB_BAD_DTYPE, "only float32 and float64 are implemented")

#define AT(k, n) (*(const real *)flowlab_at(&inputs[k], n))
#define OUT(k) ((real *)outputs[k].data)

#define KERNEL(name)                                                                                                 \
    static int32_t name(const flowlab_array *inputs, int32_t n_inputs, const flowlab_value *attrs, int32_t n_attrs,  \
                        const flowlab_array *outputs, int32_t n_outputs, char *message, int64_t message_size)

/* y = scale · tanh(rate · x) */
KERNEL(scaled_tanh)
{
    double scale = attrs[0].f, rate = attrs[1].f;
    int64_t n, count = flowlab_count(&outputs[0]);
    (void)n_inputs, (void)n_attrs, (void)n_outputs;
    FOR_FLOATS(inputs[0].dtype, for (n = 0; n < count; n++) OUT(0)[n] = (real)(scale * tanh(rate * AT(0, n))););
    return FLOWLAB_OK;
}

static int32_t scaled_tanh_rule(const flowlab_type *inputs, int32_t n_inputs, const flowlab_value *attrs, int32_t n_attrs,
                                flowlab_type *outputs, int32_t n_outputs, char *message, int64_t message_size)
{
    (void)n_inputs, (void)n_attrs, (void)n_outputs;
    if (attrs[0].f == 0.0)
        return flowlab_fail(message, message_size, FLOWLAB_BAD_ATTRIBUTE, "scale is 0, and nothing comes through");
    outputs[0] = inputs[0];
    return FLOWLAB_OK;
}

/* x, y, dy → dx = dy · rate · (scale − y² / scale) */
KERNEL(scaled_tanh_gradient)
{
    double scale = attrs[0].f, rate = attrs[1].f;
    int64_t n, count = flowlab_count(&outputs[0]);
    (void)n_inputs, (void)n_attrs, (void)n_outputs;
    FOR_FLOATS(inputs[0].dtype, for (n = 0; n < count; n++) OUT(0)[n] = (real)(AT(2, n) * rate * (scale - AT(1, n) * AT(1, n) / scale)););
    return FLOWLAB_OK;
}

/* x, y, dy, dx, u → the derivatives of u · dx by x, y and dy */
KERNEL(scaled_tanh_gradient_gradient)
{
    double scale = attrs[0].f, rate = attrs[1].f;
    int64_t n, count = flowlab_count(&outputs[0]);
    (void)n_inputs, (void)n_attrs, (void)n_outputs;
    FOR_FLOATS(inputs[0].dtype, for (n = 0; n < count; n++) {
        double y = AT(1, n), u = AT(4, n);
        OUT(0)[n] = 0;
        OUT(1)[n] = (real)(-2.0 * u * AT(2, n) * rate * y / scale);
        OUT(2)[n] = (real)(u * rate * (scale - y * y / scale));
    });
    return FLOWLAB_OK;
}

/* Running sums along the last axis; rows come contiguous, since the operation does not say FLOWLAB_STRIDED. */
KERNEL(running_sum)
{
    int64_t row, k, width = inputs[0].ndim ? inputs[0].shape[inputs[0].ndim - 1] : 1, rows = width ? flowlab_count(&inputs[0]) / width : 0;
    (void)n_inputs, (void)n_attrs, (void)n_outputs;
    if (attrs[0].i == 13)
        return flowlab_fail(message, message_size, FLOWLAB_ERROR, "thirteen rows of bad luck, na\xc3\xafvely");
    FOR_FLOATS(inputs[0].dtype, for (row = 0; row < rows; row++) {
        const real *x = (const real *)inputs[0].data + row * width;
        real *out = OUT(0) + row * width;
        double sum = 0;
        for (k = 0; k < width; k++)
            out[k] = (real)(sum += x[k]);
    });
    return FLOWLAB_OK;
}

static const flowlab_input x_alone[] = {{"x", FLOWLAB_IN_FLOAT, 0}};
static const flowlab_input of_gradient[] = {{"x", FLOWLAB_IN_FLOAT, 0}, {"y", FLOWLAB_IN_FLOAT, 0}, {"dy", FLOWLAB_IN_FLOAT, 0}};
static const flowlab_input of_second[] = {{"x", FLOWLAB_IN_FLOAT, 0}, {"y", FLOWLAB_IN_FLOAT, 0}, {"dy", FLOWLAB_IN_FLOAT, 0}, {"dx", FLOWLAB_IN_FLOAT, 0}, {"u", FLOWLAB_IN_FLOAT, 0}};
static const flowlab_attr scale_rate[] = {{"scale", FLOWLAB_ATTR_FLOAT, 0, {FLOWLAB_ATTR_FLOAT, 0, 0, 1.0, NULL, NULL}},
                                          {"rate", FLOWLAB_ATTR_FLOAT, 0, {FLOWLAB_ATTR_FLOAT, 0, 0, 1.0, NULL, NULL}}};
static const flowlab_attr luck[] = {{"luck", FLOWLAB_ATTR_INT, 0, {FLOWLAB_ATTR_INT, 0, 7, 0, NULL, NULL}}};
static const char *const y_alone[] = {"y"};
static const char *const dx_alone[] = {"dx"};
static const char *const dx_dy_ddy[] = {"dx", "dy", "ddy"};

static const flowlab_op table[] = {
    {"ScaledTanh", "Squash x between -scale and scale.", "s \\tanh(r x)", "ScaledTanhGradient", x_alone, scale_rate, y_alone, scaled_tanh_rule, scaled_tanh, 1, 2, 1, FLOWLAB_STRIDED},
    {"ScaledTanhGradient", "The derivative of ScaledTanh.", NULL, "ScaledTanhSecond", of_gradient, scale_rate, dx_alone, NULL, scaled_tanh_gradient, 3, 2, 1, FLOWLAB_STRIDED},
    {"ScaledTanhSecond", "The second derivative of ScaledTanh.", NULL, NULL, of_second, scale_rate, dx_dy_ddy, NULL, scaled_tanh_gradient_gradient, 5, 2, 3, FLOWLAB_STRIDED},
    {"RunningSum", "Add up the values of each row, step by step.", NULL, NULL, x_alone, luck, y_alone, NULL, running_sum, 1, 1, 1, 0},
};

FLOWLAB_OP_LIBRARY("smooth", "1.0", table)
