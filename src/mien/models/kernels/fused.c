/* Batch norm, 2x2 max pool and ReLU as one operation, forward and backward; the same with the 3x3 convolution of gray
 * faces before it. `kernels.py` says what and why.
 *
 * Tensors lie channels-last: [batch, height, width, channels]. `window` is 2, or 1 for no pooling: then a pooled position is a
 * position. `chosen` tells, for each pooled number, which of the window's positions was the largest, or SHUT where ReLU gave 0.
 * Sums are taken in a fixed order, so that the same threads give the same bits.
 */
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SHUT 4
#define RUN 64 /* positions that are summed in single precision before double takes over */

#ifdef BFLOAT16
typedef uint16_t number;
static inline float load(number value) {
    union { uint32_t bits; float number; } wide = {(uint32_t)value << 16};
    return wide.number;
}
static inline number store(float value) { /* rounds to nearest, ties to even */
    union { float number; uint32_t bits; } wide = {value};
    return (number)((wide.bits + 0x7fff + (wide.bits >> 16 & 1)) >> 16);
}
#else
typedef float number;
static inline float load(number value) { return value; }
static inline number store(float value) { return value; }
#endif

typedef struct {
    long batch;
    int height, width, channels, window; /* of the operation's input */
} Shape;

/* Where the input of pooled position `column` of pooled row `row` (counted over the whole batch) begins. */
static inline long position(const Shape *s, long row, int column) {
    int rows = s->height / s->window;
    return ((row / rows * s->height + row % rows * s->window) * s->width + column * s->window) * s->channels;
}

/* Where the window's k-th position lies, from its first. */
static inline long beside(const Shape *s, int k) { return (k / 2 * (long)s->width + k % 2) * s->channels; }

/* Whether a number is larger; NaN beats everything, so that it stays in sight. */
static inline int beats(float value, float best) { return value > best || value != value; }

/* Adds up what the threads have summed, [threads][2][channels], into `sums` [2][channels], always in the same order. */
static void collect(const double *partial, int threads, int channels, double *sums) {
    memset(sums, 0, 2 * channels * sizeof *sums);
    for (int t = 0; t < threads; t++)
        for (int c = 0; c < 2 * channels; c++) sums[c] += partial[(long)t * 2 * channels + c];
}

/* Sum and sum of squares of each channel over all positions: double [2][channels]. */
void moments(const number *x, Shape s, double *sums) {
    long positions = s.batch * s.height * s.width;
    int channels = s.channels, threads = omp_get_max_threads();
    double *partial = calloc((long)threads * 2 * channels, sizeof *partial);
    #pragma omp parallel num_threads(threads)
    {
        double *mine = partial + (long)omp_get_thread_num() * 2 * channels;
        float sum[channels], square[channels];
        #pragma omp for schedule(static)
        for (long first = 0; first < positions; first += RUN) {
            long end = first + RUN < positions ? first + RUN : positions;
            memset(sum, 0, sizeof sum);
            memset(square, 0, sizeof square);
            for (long at = first; at < end; at++) {
                #pragma omp simd
                for (int c = 0; c < channels; c++) {
                    float value = load(x[at * channels + c]);
                    sum[c] += value;
                    square[c] += value * value;
                }
            }
            for (int c = 0; c < channels; c++) mine[c] += sum[c], mine[channels + c] += square[c];
        }
    }
    collect(partial, threads, channels, sums);
    free(partial);
}

static inline void forward_place(const number *restrict x, const Shape *s, int window, const float *restrict scale,
                                 const float *restrict shift, number *restrict y, uint8_t *restrict chosen) {
    #pragma omp simd
    for (int c = 0; c < s->channels; c++) {
        float best = scale[c] * load(x[c]);
        int which = 0;
        for (int k = 1; k < window * window; k++) {
            float value = scale[c] * load(x[beside(s, k) + c]);
            which = beats(value, best) ? k : which;
            best = beats(value, best) ? value : best;
        }
        best += shift[c];
        y[c] = store(best < 0 ? 0 : best); /* NaN stays NaN */
        chosen[c] = (uint8_t)(best > 0 ? which : SHUT);
    }
}

/* y = relu(max over the window of (scale x + shift)). */
void forward(const number *x, Shape s, const float *scale, const float *shift, number *y, uint8_t *chosen) {
    long rows = s.batch * (s.height / s.window);
    int columns = s.width / s.window;
    #pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++) {
            const number *in = x + position(&s, row, column);
            long out = (row * columns + column) * s.channels;
            if (s.window == 2)
                forward_place(in, &s, 2, scale, shift, y + out, chosen + out);
            else
                forward_place(in, &s, 1, scale, shift, y + out, chosen + out);
        }
}

static inline void sums_place(const number *restrict x, const Shape *s, int window, const number *restrict dy,
                              const uint8_t *restrict chosen, float *restrict sum, float *restrict product) {
    #pragma omp simd
    for (int c = 0; c < s->channels; c++) {
        float value = load(x[c]);
        for (int k = 1; k < window * window; k++) value = chosen[c] == k ? load(x[beside(s, k) + c]) : value;
        float gradient = chosen[c] == SHUT ? 0 : load(dy[c]);
        sum[c] += gradient;
        product[c] += gradient * value;
    }
}

/* Sums of dy and of dy x over the positions that were chosen: double [2][channels]. */
void gradients(const number *x, const number *dy, const uint8_t *chosen, Shape s, double *sums) {
    long rows = s.batch * (s.height / s.window);
    int channels = s.channels, columns = s.width / s.window, threads = omp_get_max_threads();
    double *partial = calloc((long)threads * 2 * channels, sizeof *partial);
    #pragma omp parallel num_threads(threads)
    {
        double *mine = partial + (long)omp_get_thread_num() * 2 * channels;
        float sum[channels], product[channels];
        #pragma omp for schedule(static)
        for (long row = 0; row < rows; row++) {
            memset(sum, 0, sizeof sum);
            memset(product, 0, sizeof product);
            for (int column = 0; column < columns; column++) {
                const number *in = x + position(&s, row, column);
                long out = (row * columns + column) * channels;
                if (s.window == 2)
                    sums_place(in, &s, 2, dy + out, chosen + out, sum, product);
                else
                    sums_place(in, &s, 1, dy + out, chosen + out, sum, product);
            }
            for (int c = 0; c < channels; c++) mine[c] += sum[c], mine[channels + c] += product[c];
        }
    }
    collect(partial, threads, channels, sums);
    free(partial);
}

static inline void backward_position(const number *restrict x, int channels, int k, const number *restrict dy,
                                  const uint8_t *restrict chosen, const float *restrict scale,
                                  const float *restrict along, const float *restrict offset, number *restrict dx) {
    #pragma omp simd
    for (int c = 0; c < channels; c++) {
        float own = chosen[c] == k ? scale[c] * load(dy[c]) : 0;
        dx[c] = store(own + along[c] * load(x[c]) + offset[c]);
    }
}

/* dx = scale dy where chosen, and along x + offset everywhere. */
void backward(const number *x, const number *dy, const uint8_t *chosen, Shape s, const float *scale, const float *along,
              const float *offset, number *dx) {
    long rows = s.batch * (s.height / s.window);
    int columns = s.width / s.window;
    #pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++)
            for (int k = 0; k < s.window * s.window; k++) {
                long in = position(&s, row, column) + beside(&s, k), out = (row * columns + column) * s.channels;
                backward_position(x + in, s.channels, k, dy + out, chosen + out, scale, along, offset, dx + in);
            }
}

/* The first block. `faces` are float [batch][height + 2][width + 2], a border of zeros around each; the shape is that of
 * the convolution's result, which is never written down: its nine products are cheaper than its memory. */

#define TAPS 9

/* The patches' sums of products: double [TAPS + 1][TAPS + 1], symmetric, the last of a patch's numbers being 1. */
void patch_products(const float *faces, Shape s, double *products) {
    long rows = s.batch * s.height, wide = s.width + 2;
    int threads = omp_get_max_threads(), side = TAPS + 1;
    double *partial = calloc((long)threads * side * side, sizeof *partial);
    #pragma omp parallel num_threads(threads)
    {
        double *mine = partial + (long)omp_get_thread_num() * side * side;
        float sum[side][TAPS][s.width]; /* one a column, so that no vector is ever added up before the end */
        #pragma omp for schedule(static)
        for (long first = 0; first < rows; first += RUN) {
            memset(sum, 0, sizeof sum);
            for (long row = first; row < rows && row < first + RUN; row++) {
                const float *patch = faces + (row / s.height * (s.height + 2) + row % s.height) * wide;
                for (int j = 0; j < TAPS; j++) {
                    const float *b = patch + j / 3 * wide + j % 3;
                    for (int i = j; i < TAPS; i++) {
                        const float *a = patch + i / 3 * wide + i % 3;
                        #pragma omp simd
                        for (int x = 0; x < s.width; x++) sum[i][j][x] += a[x] * b[x];
                    }
                    #pragma omp simd
                    for (int x = 0; x < s.width; x++) sum[TAPS][j][x] += b[x];
                }
            }
            for (int i = 0; i < side; i++)
                for (int j = 0; j <= i && j < TAPS; j++)
                    for (int x = 0; x < s.width; x++) mine[i * side + j] += sum[i][j][x];
        }
    }
    memset(products, 0, side * side * sizeof *products);
    for (int t = 0; t < threads; t++)
        for (int i = 0; i < side; i++)
            for (int j = 0; j <= i; j++) products[i * side + j] += partial[(t * side + i) * side + j];
    for (int i = 0; i < side; i++)
        for (int j = 0; j < i; j++) products[j * side + i] = products[i * side + j];
    products[side * side - 1] = (double)rows * s.width;
    free(partial);
}

/* The 4x4 numbers of a face that a pooled position sees; its k-th window begins at [k / 2][k % 2]. */
static inline void surroundings(const float *faces, const Shape *s, long row, int column, float seen[4][4]) {
    long wide = s->width + 2, rows = s->height / 2;
    const float *from = faces + (row / rows * (s->height + 2) + row % rows * 2) * wide + column * 2;
    for (int y = 0; y < 4; y++) memcpy(seen[y], from + y * wide, 4 * sizeof(float));
}

/* y = relu(max over the 2x2 window of (weights patch + shift)); weights [TAPS][channels]. */
void first_forward(const float *faces, Shape s, const float *weights, const float *shift, number *y, uint8_t *chosen) {
    long rows = s.batch * (s.height / 2);
    int columns = s.width / 2, channels = s.channels;
    #pragma omp parallel for schedule(static)
    for (long row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++) {
            float seen[4][4], best[channels], which[channels]; /* of one size, so that they fill the same vectors */
            surroundings(faces, &s, row, column, seen);
            long out = (row * columns + column) * channels;
            #pragma omp simd
            for (int c = 0; c < channels; c++) {
                float value[4] = {0, 0, 0, 0};
                for (int tap = 0; tap < TAPS; tap++)
                    for (int k = 0; k < 4; k++)
                        value[k] += weights[tap * channels + c] * seen[k / 2 + tap / 3][k % 2 + tap % 3];
                float most = value[0], at = 0;
                for (int k = 1; k < 4; k++) {
                    at = beats(value[k], most) ? k : at;
                    most = beats(value[k], most) ? value[k] : most;
                }
                best[c] = most + shift[c];
                which[c] = at;
            }
            #pragma omp simd
            for (int c = 0; c < channels; c++) {
                y[out + c] = store(best[c] < 0 ? 0 : best[c]);
                chosen[out + c] = (uint8_t)(best[c] > 0 ? which[c] : SHUT);
            }
        }
}

/* Sums of dy times the chosen patch, the last of a patch's numbers being 1: double [TAPS + 1][channels]. */
void first_gradients(const float *faces, Shape s, const number *dy, const uint8_t *chosen, double *sums) {
    long rows = s.batch * (s.height / 2);
    int columns = s.width / 2, channels = s.channels, threads = omp_get_max_threads(), all = (TAPS + 1) * channels;
    double *partial = calloc((long)threads * all, sizeof *partial);
    #pragma omp parallel num_threads(threads)
    {
        double *mine = partial + (long)omp_get_thread_num() * all;
        float sum[all], given[channels], which[channels];
        #pragma omp for schedule(static)
        for (long row = 0; row < rows; row++) {
            memset(sum, 0, sizeof sum);
            for (int column = 0; column < columns; column++) {
                float seen[4][4];
                surroundings(faces, &s, row, column, seen);
                long out = (row * columns + column) * channels;
                #pragma omp simd
                for (int c = 0; c < channels; c++) {
                    given[c] = chosen[out + c] == SHUT ? 0 : load(dy[out + c]);
                    which[c] = chosen[out + c];
                }
                #pragma omp simd
                for (int c = 0; c < channels; c++) {
                    float gradient[4];
                    for (int k = 0; k < 4; k++) gradient[k] = which[c] == k ? given[c] : 0;
                    for (int tap = 0; tap < TAPS; tap++) {
                        float added = 0;
                        for (int k = 0; k < 4; k++) added += gradient[k] * seen[k / 2 + tap / 3][k % 2 + tap % 3];
                        sum[tap * channels + c] += added;
                    }
                    sum[TAPS * channels + c] += given[c];
                }
            }
            for (int i = 0; i < all; i++) mine[i] += sum[i];
        }
    }
    memset(sums, 0, all * sizeof *sums);
    for (int t = 0; t < threads; t++)
        for (int i = 0; i < all; i++) sums[i] += partial[(long)t * all + i];
    free(partial);
}
