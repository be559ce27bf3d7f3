/* Scores images with an exported flow through TensorFlow's C API, without Python.

     log_prob MODEL BATCH [SIZE ...] < IMAGES

   MODEL is an export's folder (NAME/VERSION), IMAGES raw float32 values of the shape BATCH x SIZE x ..., dequantised
   pixels. Prints the log density of each in nats, one a line. A refused request is an error with its reason.

   To build it with the TensorFlow of a Python environment, see build.sh.
*/
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

typedef struct {
  const uint8_t* begin;
  const uint8_t* end;
} Bytes;

static void fail(const char* what, const char* why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void check(const TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* A SavedModel says which tensors a signature's inputs and outputs are in a protocol buffer. These few lines read the
   fields of a message, so that the client needs no library for it. */

static uint64_t read_varint(Bytes* in) {
  uint64_t value = 0;
  for (int shift = 0; in->begin < in->end && shift < 64; shift += 7) {
    uint8_t byte = *in->begin++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) break;
  }
  return value;
}

/* The next field's number, and its bytes if it is a message or a string; 0 at the end. */
static int next_field(Bytes* in, Bytes* field) {
  if (in->begin >= in->end) return 0;
  uint64_t key = read_varint(in);
  uint64_t size = 0;
  field->begin = field->end = NULL;
  switch (key & 7) {
    case 0: read_varint(in); return (int)(key >> 3);
    case 1: size = 8; break;
    case 2: size = read_varint(in); break;
    case 5: size = 4; break;
    default: fail("reading the model", "unknown wire type");
  }
  if (size > (uint64_t)(in->end - in->begin)) fail("reading the model", "truncated message");
  if ((key & 7) == 2) {
    field->begin = in->begin;
    field->end = in->begin + size;
  }
  in->begin += size;
  return (int)(key >> 3);
}

static int equals(Bytes bytes, const char* text) {
  size_t size = (size_t)(bytes.end - bytes.begin);
  return size == strlen(text) && memcmp(bytes.begin, text, size) == 0;
}

/* The value of a key in the map that is field `number` of a message. */
static Bytes look_up(Bytes message, int number, const char* key) {
  Bytes entry, part;
  for (int n; (n = next_field(&message, &entry)) != 0;) {
    if (n != number) continue;
    Bytes value = {NULL, NULL};
    int is_key = 0;
    for (int m; (m = next_field(&entry, &part)) != 0;) {
      if (m == 1) is_key = equals(part, key);
      if (m == 2) value = part;
    }
    if (is_key) return value;
  }
  fail("looking up a signature", key);
  return message;
}

enum { kSignatureDefs = 5, kInputs = 1, kOutputs = 2, kTensorName = 1 };

/* The tensor that a signature names, as the graph has it: "operation:index". */
static TF_Output find_tensor(TF_Graph* graph, Bytes signature, int inputs_or_outputs, const char* name) {
  Bytes info = look_up(signature, inputs_or_outputs, name), field;
  char operation[512] = "";
  for (int n; (n = next_field(&info, &field)) != 0;) {
    if (n == kTensorName) {
      snprintf(operation, sizeof operation, "%.*s", (int)(field.end - field.begin), (const char*)field.begin);
    }
  }
  char* colon = strrchr(operation, ':');
  TF_Output output = {NULL, colon ? atoi(colon + 1) : 0};
  if (colon) *colon = '\0';
  output.oper = TF_GraphOperationByName(graph, operation);
  if (!output.oper) fail("looking up a tensor", operation);
  return output;
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s MODEL BATCH [SIZE ...] < IMAGES\n", argv[0]);
    return 2;
  }
  int rank = argc - 2;
  int64_t* sizes = malloc((size_t)rank * sizeof *sizes);
  size_t bytes = sizeof(float);
  for (int i = 0; i < rank; ++i) {
    sizes[i] = atoll(argv[i + 2]);
    bytes *= (size_t)sizes[i];
  }
  TF_Tensor* images = TF_AllocateTensor(TF_FLOAT, sizes, rank, bytes);
  if (fread(TF_TensorData(images), 1, bytes, stdin) != bytes) fail("reading images", "fewer values than the shape says");

  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Buffer* meta_graph = TF_NewBuffer();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta_graph, status);
  check(status, "loading the model");

  Bytes model = {meta_graph->data, (const uint8_t*)meta_graph->data + meta_graph->length};
  Bytes signature = look_up(model, kSignatureDefs, "log_prob");
  TF_Output input = find_tensor(graph, signature, kInputs, "images");
  TF_Output output = find_tensor(graph, signature, kOutputs, "log_prob");
  TF_Tensor* log_prob = NULL;
  TF_SessionRun(session, NULL, &input, &images, 1, &output, &log_prob, 1, NULL, 0, NULL, status);
  check(status, "log_prob");
  const float* values = TF_TensorData(log_prob);
  for (int64_t i = 0; i < TF_TensorElementCount(log_prob); ++i) printf("%.9g\n", values[i]);

  TF_DeleteTensor(log_prob);
  TF_DeleteTensor(images);
  TF_DeleteBuffer(meta_graph);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  free(sizes);
  return 0;
}
