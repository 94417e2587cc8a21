#include <string.h>

#include "drivers/console/rfb.h"

ENUM_DEFINE(ClipboardPolicy, clipboard_policy, CLIPBOARD_POLICIES, N_CLIPBOARD_POLICIES)

/* What a message is to policy. */
typedef enum { KIND_NONE, KIND_PLAIN, KIND_INPUT, KIND_RESIZE, KIND_CUT, KIND_ENCODINGS, KIND_POWER } Kind;

/* The viewer's messages (RFC 6143, 7.5; rfbproto, "Client to Server Messages"); head_bytes is what tells how long it is. */
static const struct { uint8_t head_bytes, kind; } messages[256] = {
  [0] = { 20, KIND_PLAIN },    /* SetPixelFormat */
  [2] = { 4, KIND_ENCODINGS }, /* SetEncodings */
  [3] = { 10, KIND_PLAIN },    /* FramebufferUpdateRequest */
  [4] = { 8, KIND_INPUT },     /* KeyEvent */
  [5] = { 6, KIND_INPUT },     /* PointerEvent */
  [6] = { 8, KIND_CUT },       /* ClientCutText; 12 where it is extended */
  [150] = { 10, KIND_PLAIN },  /* EnableContinuousUpdates */
  [248] = { 9, KIND_PLAIN },   /* ClientFence */
  [250] = { 4, KIND_POWER },   /* xvp */
  [251] = { 8, KIND_RESIZE },  /* SetDesktopSize */
  [255] = { 2, KIND_INPUT },   /* QEMU: key, or audio */
};

enum { TYPE_SET_ENCODINGS = 2, TYPE_CUT = 6, TYPE_FENCE = 248, TYPE_RESIZE = 251, TYPE_QEMU = 255 };
enum { QEMU_KEY = 0, QEMU_AUDIO = 1, FENCE_MAX_BYTES = 64 };

/* Flags of an extended ClientCutText. */
enum { CUT_CAPS = 1 << 24, CUT_REQUEST = 1 << 25, CUT_PEEK = 1 << 26, CUT_NOTIFY = 1 << 27, CUT_PROVIDE = 1 << 28 };

enum { ENCODING_EXTENDED_CLIPBOARD = (int32_t)0xc0a1e5ce, ENCODING_UNKNOWN = 0x7fffffff };

/* Never offered to a guest: with these the viewer's messages would change their shape, or would be refused or left out here. */
static const int32_t left_out_encodings[] = {
  -316, /* extended mouse buttons: PointerEvent grows a byte where bit 7 is set */
  -309, /* xvp */
  -305, /* gii */
};

enum { MODE_HEAD, MODE_PASS, MODE_DROP, MODE_ENCODINGS };

typedef struct {
  uint8_t *at, *end, *out;
} Cursor;

static uint32_t read_u32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static void write_u32(uint8_t *at, uint32_t value)
{
  for (int i = 0; i < 4; i++)
    at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void pass(Cursor *c, size_t n)
{
  if (c->out != c->at)
    memmove(c->out, c->at, n);
  c->out += n;
  c->at += n;
}

/* What can be known of the head's length from n bytes of it; 0: there is no such message. */
static size_t head_bytes(const uint8_t *at, size_t n)
{
  size_t base = messages[at[0]].head_bytes;
  if (n < base)
    return base;
  if (at[0] == TYPE_CUT && at[4] & 0x80)
    return 12;
  if (at[0] != TYPE_QEMU)
    return base;
  if (at[1] != QEMU_AUDIO)
    return at[1] == QEMU_KEY ? 12 : 0;
  if (n < 4)
    return 4;
  unsigned operation = at[2] << 8 | at[3];
  return operation < 2 ? 4 : operation == 2 ? 10 : 0;
}

/* Bytes behind the head; false: more than may be. */
static bool body_bytes(const uint8_t *at, uint32_t *ret)
{
  *ret = 0;
  switch (at[0]) {
  case TYPE_SET_ENCODINGS:
    *ret = 4 * (uint32_t)(at[2] << 8 | at[3]);
    return true;
  case TYPE_CUT: {
    uint32_t length = read_u32(at + 4);
    bool extended = at[4] & 0x80;
    *ret = extended ? -length - 4 : length;
    return extended ? -length >= 4 && -length <= RFB_CUT_MAX_BYTES : length <= RFB_CUT_MAX_BYTES;
  }
  case TYPE_FENCE:
    *ret = at[8];
    return at[8] <= FENCE_MAX_BYTES;
  case TYPE_RESIZE:
    *ret = 16 * (uint32_t)at[6];
    return true;
  }
  return true;
}

static ClipboardPolicy clipboard_of(const RfbFilter *f) { return f->view_only ? CLIPBOARD_NONE : f->clipboard; }

/* May this clipboard message go on? Its flags lose what the policy does not allow. Viewers tell what they can, and ask, by
 * themselves: only content and its announcement are a person's input. */
static bool cut_allow(RfbFilter *f, uint8_t *at)
{
  ClipboardPolicy policy = clipboard_of(f);
  bool to_guest = policy == CLIPBOARD_BOTH || policy == CLIPBOARD_TO_GUEST;
  bool from_guest = policy == CLIPBOARD_BOTH || policy == CLIPBOARD_FROM_GUEST;
  bool extended = at[4] & 0x80;
  f->input_seen |= !extended && to_guest;
  if (!extended || policy == CLIPBOARD_NONE)
    return to_guest;
  uint32_t flags = read_u32(at + 8);
  bool was_an_action = flags & (CUT_REQUEST | CUT_PEEK | CUT_NOTIFY | CUT_PROVIDE);
  if (!to_guest)
    flags &= ~(uint32_t)(CUT_NOTIFY | CUT_PROVIDE);
  if (!from_guest)
    flags &= ~(uint32_t)(CUT_REQUEST | CUT_PEEK);
  write_u32(at + 8, flags);
  f->input_seen |= flags & (CUT_NOTIFY | CUT_PROVIDE) && !(flags & CUT_CAPS);
  return !was_an_action || flags & (CUT_CAPS | CUT_REQUEST | CUT_PEEK | CUT_NOTIFY | CUT_PROVIDE);
}

/* May a message whose head stands at `at` go on? */
static bool message_allow(RfbFilter *f, uint8_t *at)
{
  Kind kind = messages[at[0]].kind;
  bool is_audio = at[0] == TYPE_QEMU && at[1] == QEMU_AUDIO;
  if (is_audio)
    return true;
  switch (kind) {
  case KIND_INPUT:
  case KIND_RESIZE:
    f->input_seen |= !f->view_only && kind == KIND_INPUT;
    return !f->view_only;
  case KIND_CUT:
    return cut_allow(f, at);
  case KIND_POWER:
    return false;
  case KIND_PLAIN:
  case KIND_ENCODINGS:
  case KIND_NONE:
    return true;
  }
  return false;
}

static RfbStep refuse(RfbFilter *f, uint8_t type)
{
  f->refused_type = type;
  return RFB_REFUSED;
}

/* DONE: a head was read. MORE: it is not whole. */
static RfbStep head_run(RfbFilter *f, Cursor *c)
{
  size_t n = c->end - c->at, need = head_bytes(c->at, n);
  uint8_t type = c->at[0];
  if (!need)
    return refuse(f, type);
  if (n < need)
    return RFB_MORE;
  if (!body_bytes(c->at, &f->left))
    return refuse(f, type);
  bool allowed = message_allow(f, c->at);
  f->mode = !allowed ? MODE_DROP : messages[type].kind == KIND_ENCODINGS ? MODE_ENCODINGS : MODE_PASS;
  if (allowed)
    pass(c, need);
  else
    c->at += need;
  return RFB_DONE;
}

static int32_t encoding_allow(const RfbFilter *f, int32_t encoding)
{
  if (encoding == ENCODING_EXTENDED_CLIPBOARD && clipboard_of(f) == CLIPBOARD_NONE)
    return ENCODING_UNKNOWN;
  for (size_t i = 0; i < sizeof left_out_encodings / sizeof *left_out_encodings; i++)
    if (left_out_encodings[i] == encoding)
      return ENCODING_UNKNOWN;
  return encoding;
}

static RfbStep encoding_run(RfbFilter *f, Cursor *c)
{
  if (c->end - c->at < 4)
    return RFB_MORE;
  write_u32(c->at, (uint32_t)encoding_allow(f, (int32_t)read_u32(c->at)));
  pass(c, 4);
  f->left -= 4;
  return RFB_DONE;
}

static RfbStep body_run(RfbFilter *f, Cursor *c)
{
  size_t n = c->end - c->at, take = n < f->left ? n : f->left;
  if (f->mode == MODE_PASS)
    pass(c, take);
  else
    c->at += take;
  f->left -= (uint32_t)take;
  return RFB_DONE;
}

RfbStep rfb_filter_run(RfbFilter *f, uint8_t *data, size_t n, uint8_t **ret_out, size_t *ret_n)
{
  Cursor c = { data - f->held_bytes, data + n, data - f->held_bytes };
  memcpy(c.at, f->held, f->held_bytes);
  f->held_bytes = 0;
  *ret_out = c.out;
  RfbStep step = RFB_DONE;
  while (c.at < c.end && step == RFB_DONE) {
    if (!f->left)
      f->mode = MODE_HEAD;
    step = f->mode == MODE_HEAD ? head_run(f, &c) : f->mode == MODE_ENCODINGS ? encoding_run(f, &c) : body_run(f, &c);
  }
  *ret_n = c.out - *ret_out;
  if (step == RFB_REFUSED)
    return step;
  f->held_bytes = (uint8_t)(c.end - c.at);
  memcpy(f->held, c.at, f->held_bytes);
  return RFB_MORE;
}
