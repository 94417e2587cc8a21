/* What goes back: each function makes the response of an exchange, which its thread then sends. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

/* JSON of that status. Owns text. */
void reply_json(Exchange *x, int status, GString *take_text);
/* Any bytes; takes a reference of its own. */
void reply_bytes(Exchange *x, int status, const char *type, GBytes *bytes);
/* A status without a body. */
void reply_empty(Exchange *x, int status);
/* A stream without end: read is asked for more whenever the connection has room, freed when it is over. */
void reply_stream(Exchange *x, const char *type, size_t chunk_bytes, MHD_ContentReaderCallback read, void *data,
                  MHD_ContentReaderFreeCallback freed);
/* A problem document. Owns err. */
void reply_error(Exchange *x, GError *take_err);
/* What the runtime answered. Owns answer. */
void reply_answer(Exchange *x, Answer *take_answer);
/* A header more; after one of the above. value must hold no line break. */
void reply_header(Exchange *x, const char *name, const char *value);
/* 200 with what the caller may see of object. */
void reply_read_object(Exchange *x, Noun noun, const Object *object);
/* 200 with JSON that lives as long as the server. */
void reply_static(Exchange *x, const GString *text);
