// An example in C++: distances between all pairs of rows, the largest value of each row with its place, and what the tests ask of attributes and threads.
#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "flowlab_op.h"

namespace {

// One input or output as a matrix or vector of T.
template <typename T>
struct View {
    const flowlab_array &a;
    T &operator()(int64_t i) const { return *reinterpret_cast<T *>(static_cast<char *>(a.data) + i * a.strides[0]); }
    T &operator()(int64_t i, int64_t j) const { return *reinterpret_cast<T *>(static_cast<char *>(a.data) + i * a.strides[0] + j * a.strides[1]); }
};

struct Call {
    const flowlab_array *in, *out;
    const flowlab_value *attrs;
};

// A kernel that is written for any float, as the function that flowlab calls: the dtype is looked up, and no exception leaves it.
template <template <typename> class Kernel>
int32_t kernel(const flowlab_array *inputs, int32_t, const flowlab_value *attrs, int32_t, const flowlab_array *outputs, int32_t, char *message, int64_t size)
{
    try {
        Call call{inputs, outputs, attrs};
        switch (inputs[0].dtype) {
        case FLOWLAB_FLOAT32: Kernel<float>::run(call); return FLOWLAB_OK;
        case FLOWLAB_FLOAT64: Kernel<double>::run(call); return FLOWLAB_OK;
        default: return flowlab_fail(message, size, FLOWLAB_BAD_DTYPE, "only float32 and float64 are implemented");
        }
    } catch (const std::exception &error) {
        return flowlab_fail(message, size, FLOWLAB_ERROR, "%s", error.what());
    }
}

template <typename T>
struct SquaredDistances {       // out[i, j] = Σ (a[i, k] − b[j, k])²
    static void run(const Call &c)
    {
        View<T> a{c.in[0]}, b{c.in[1]}, out{c.out[0]};
        for (int64_t i = 0; i < c.in[0].shape[0]; i++)
            for (int64_t j = 0; j < c.in[1].shape[0]; j++) {
                T sum = 0;
                for (int64_t k = 0; k < c.in[0].shape[1]; k++)
                    sum += (a(i, k) - b(j, k)) * (a(i, k) - b(j, k));
                out(i, j) = sum;
            }
    }
};

template <typename T>
struct SquaredDistancesGradient {
    static void run(const Call &c)
    {
        View<T> a{c.in[0]}, b{c.in[1]}, up{c.in[3]}, da{c.out[0]}, db{c.out[1]};
        int64_t n = c.in[0].shape[0], m = c.in[1].shape[0], width = c.in[0].shape[1];
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < width; k++)
                da(i, k) = 0;
        for (int64_t j = 0; j < m; j++)
            for (int64_t k = 0; k < width; k++) {
                T sum = 0;
                for (int64_t i = 0; i < n; i++) {
                    T d = 2 * up(i, j) * (a(i, k) - b(j, k));
                    da(i, k) += d;
                    sum -= d;
                }
                db(j, k) = sum;
            }
    }
};

template <typename T>
struct RowMax {                 // the largest value of each row, and where it stands
    static void run(const Call &c)
    {
        View<T> x{c.in[0]}, most{c.out[0]};
        View<int64_t> place{c.out[1]};
        if (!c.in[0].shape[1])
            throw std::invalid_argument("a row without values has no largest one");
        for (int64_t i = 0; i < c.in[0].shape[0]; i++) {
            int64_t at = 0;
            for (int64_t k = 1; k < c.in[0].shape[1]; k++)
                if (x(i, k) > x(i, at))
                    at = k;
            most(i) = x(i, at);
            place(i) = at;
        }
    }
};

template <typename T>
struct RowMaxGradient {         // x, most, place, d_most, d_place → dx
    static void run(const Call &c)
    {
        View<T> up{c.in[3]}, dx{c.out[0]};
        View<int64_t> place{c.in[2]};
        for (int64_t i = 0; i < c.in[0].shape[0]; i++)
            for (int64_t k = 0; k < c.in[0].shape[1]; k++)
                dx(i, k) = k == place(i) ? up(i) : T(0);
    }
};

int32_t pairs_rule(const flowlab_type *in, int32_t, const flowlab_value *, int32_t, flowlab_type *out, int32_t, char *message, int64_t size)
{
    for (int k = 0; k < 2; k++)
        if (in[k].ndim != 2)
            return flowlab_fail(message, size, FLOWLAB_BAD_SHAPE, "%s has %d axes, it takes 2", k ? "b" : "a", in[k].ndim);
    int64_t wa = in[0].shape[1], wb = in[1].shape[1];
    if (wa >= 0 && wb >= 0 && wa != wb)
        return flowlab_fail(message, size, FLOWLAB_BAD_SHAPE, "rows of a have %lld values, rows of b %lld", (long long)wa, (long long)wb);
    out[0].dtype = in[0].dtype;
    out[0].ndim = 2;
    out[0].shape[0] = in[0].shape[0];
    out[0].shape[1] = in[1].shape[0];
    return FLOWLAB_OK;
}

int32_t row_max_rule(const flowlab_type *in, int32_t, const flowlab_value *, int32_t, flowlab_type *out, int32_t, char *message, int64_t size)
{
    if (in[0].ndim != 2)
        return flowlab_fail(message, size, FLOWLAB_BAD_SHAPE, "x has %d axes, it takes 2", in[0].ndim);
    for (int k = 0; k < 2; k++) {
        out[k].dtype = k ? FLOWLAB_INT64 : in[0].dtype;
        out[k].ndim = 1;
        out[k].shape[0] = in[0].shape[0];
    }
    return FLOWLAB_OK;
}

// Says what its attributes are, as an error.
int32_t echo(const flowlab_array *, int32_t, const flowlab_value *v, int32_t, const flowlab_array *, int32_t, char *message, int64_t size)
{
    std::string ints;
    for (int32_t k = 0; k < v[4].count; k++)
        ints += (k ? "," : "") + std::to_string(v[4].ints[k]);
    return flowlab_fail(message, size, FLOWLAB_ERROR, "%lld|%g|%s|%s|%s", (long long)v[0].i, v[1].f, v[2].i ? "yes" : "no", v[3].s, ints.c_str());
}

// Waits until two kernels are in here: true only of kernels that run at the same time.
int32_t meeting(const flowlab_array *in, int32_t, const flowlab_value *, int32_t, const flowlab_array *out, int32_t, char *message, int64_t size)
{
    static std::atomic<int> present{0};
    present++;
    for (int tries = 0; tries < 10000 && present < 2; tries++)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (present < 2)
        return flowlab_fail(message, size, FLOWLAB_ERROR, "nobody else came");
    *static_cast<double *>(out[0].data) = *static_cast<const double *>(in[0].data);
    return FLOWLAB_OK;
}

// A rule that makes no sense, and one that knows too little.
int32_t mad_rule(const flowlab_type *, int32_t, const flowlab_value *v, int32_t, flowlab_type *out, int32_t, char *, int64_t)
{
    out[0].dtype = FLOWLAB_FLOAT32;
    out[0].ndim = v[0].i == 1 ? 99 : 1;
    if (v[0].i == 2)
        out[0].dtype = 77;
    out[0].shape[0] = v[0].i == 3 ? -9 : -1;
    return v[0].i == 4 ? 42 : FLOWLAB_OK;
}

const flowlab_input one[] = {{"x", FLOWLAB_IN_FLOAT, 0}};
const flowlab_input two[] = {{"a", FLOWLAB_IN_FLOAT, 0}, {"b", FLOWLAB_IN_FLOAT, 0}};
const flowlab_input of_two[] = {{"a", FLOWLAB_IN_FLOAT, 0}, {"b", FLOWLAB_IN_FLOAT, 0}, {"out", FLOWLAB_IN_FLOAT, 0}, {"d_out", FLOWLAB_IN_FLOAT, 0}};
const flowlab_input of_row_max[] = {{"x", FLOWLAB_IN_FLOAT, 0}, {"most", FLOWLAB_IN_FLOAT, 0}, {"place", FLOWLAB_IN_INT, 0}, {"d_most", FLOWLAB_IN_FLOAT, 0}, {"d_place", FLOWLAB_IN_INT, 0}};
const char *const out[] = {"out"};
const char *const da_db[] = {"da", "db"};
const char *const most_place[] = {"most", "place"};
const int64_t three_ints[] = {4, 5, 6};
const flowlab_attr every_kind[] = {
    {"i", FLOWLAB_ATTR_INT, 1, {0, 0, 0, 0, nullptr, nullptr}},
    {"f", FLOWLAB_ATTR_FLOAT, 0, {FLOWLAB_ATTR_FLOAT, 0, 0, 0.5, nullptr, nullptr}},
    {"yes", FLOWLAB_ATTR_BOOL, 0, {FLOWLAB_ATTR_BOOL, 0, 1, 0, nullptr, nullptr}},
    {"greeting", FLOWLAB_ATTR_STRING, 0, {FLOWLAB_ATTR_STRING, 0, 0, 0, "gr\xc3\xbc\xc3\x9f" "e", nullptr}},
    {"sizes", FLOWLAB_ATTR_INTS, 0, {FLOWLAB_ATTR_INTS, 3, 0, 0, nullptr, three_ints}},
};
const flowlab_attr how[] = {{"how", FLOWLAB_ATTR_INT, 0, {FLOWLAB_ATTR_INT, 0, 0, 0, nullptr, nullptr}}};

const flowlab_op table[] = {
    {"SquaredDistances", "Measure how far each row of a lies from each row of b, squared.", "\\|a_i - b_j\\|^2", "SquaredDistancesGradient", two, nullptr, out, pairs_rule,
     kernel<SquaredDistances>, 2, 0, 1, FLOWLAB_STRIDED},
    {"SquaredDistancesGradient", "The derivatives of SquaredDistances.", nullptr, nullptr, of_two, nullptr, da_db, nullptr, kernel<SquaredDistancesGradient>, 4, 0, 2, FLOWLAB_STRIDED},
    {"RowMax", "Find the largest value of each row, and its place.", nullptr, "RowMaxGradient", one, nullptr, most_place, row_max_rule, kernel<RowMax>, 1, 0, 2, FLOWLAB_STRIDED},
    {"RowMaxGradient", "The derivative of RowMax.", nullptr, nullptr, of_row_max, nullptr, out, nullptr, kernel<RowMaxGradient>, 5, 0, 1, FLOWLAB_STRIDED},
    {"TestEcho", "Say what the attributes are.", nullptr, nullptr, one, every_kind, out, nullptr, echo, 1, 5, 1, 0},
    {"TestMeeting", "Wait for another.", nullptr, nullptr, one, nullptr, out, nullptr, meeting, 1, 0, 1, FLOWLAB_NOT_DIFFERENTIABLE},
    {"TestMadRule", "Promise what cannot be.", nullptr, nullptr, one, how, out, mad_rule, echo, 1, 1, 1, 0},
};

}  // namespace

FLOWLAB_OP_LIBRARY("pairs", "2.1", table)
