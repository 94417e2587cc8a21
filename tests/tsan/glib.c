/* GLib's own locks are made of futexes inside a library that ThreadSanitizer does not see into, so every use of them looks like a
 * race. In MODE=tsan these stand in front of GLib's functions and say what they order. Linked in no other mode. */
#include <dlfcn.h>
#include <glib.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define REAL(name) \
  static __typeof__(name) *_Atomic real; \
  if (!real) \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define TAKES(name, Type) \
  void (name)(Type *lock) \
  { \
    REAL(name); \
    real(lock); \
    __tsan_acquire(lock); \
  }
#define TRIES(name, Type) \
  gboolean (name)(Type *lock) \
  { \
    REAL(name); \
    gboolean taken = real(lock); \
    if (taken) \
      __tsan_acquire(lock); \
    return taken; \
  }
#define GIVES(name, Type) \
  void (name)(Type *lock) \
  { \
    REAL(name); \
    __tsan_release(lock); \
    real(lock); \
  }

TAKES(g_mutex_lock, GMutex)
TRIES(g_mutex_trylock, GMutex)
GIVES(g_mutex_unlock, GMutex)
TAKES(g_rec_mutex_lock, GRecMutex)
TRIES(g_rec_mutex_trylock, GRecMutex)
GIVES(g_rec_mutex_unlock, GRecMutex)
TAKES(g_rw_lock_reader_lock, GRWLock)
TRIES(g_rw_lock_reader_trylock, GRWLock)
GIVES(g_rw_lock_reader_unlock, GRWLock)
TAKES(g_rw_lock_writer_lock, GRWLock)
TRIES(g_rw_lock_writer_trylock, GRWLock)
GIVES(g_rw_lock_writer_unlock, GRWLock)

void g_cond_wait(GCond *cond, GMutex *mutex)
{
  REAL(g_cond_wait);
  __tsan_release(mutex);
  real(cond, mutex);
  __tsan_acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
  REAL(g_cond_wait_until);
  __tsan_release(mutex);
  gboolean signalled = real(cond, mutex, end_time);
  __tsan_acquire(mutex);
  return signalled;
}

#define PUSHES(name) \
  { \
    REAL(name); \
    __tsan_release(queue); \
    real(queue, data); \
  }
void g_async_queue_push(GAsyncQueue *queue, gpointer data) PUSHES(g_async_queue_push)
void g_async_queue_push_front(GAsyncQueue *queue, gpointer data) PUSHES(g_async_queue_push_front)

#define POPS(name, ...) \
  { \
    REAL(name); \
    gpointer data = real(__VA_ARGS__); \
    if (data) \
      __tsan_acquire(queue); \
    return data; \
  }
gpointer g_async_queue_pop(GAsyncQueue *queue) POPS(g_async_queue_pop, queue)
gpointer g_async_queue_try_pop(GAsyncQueue *queue) POPS(g_async_queue_try_pop, queue)
gpointer g_async_queue_timeout_pop(GAsyncQueue *queue, guint64 timeout) POPS(g_async_queue_timeout_pop, queue, timeout)

gboolean (g_once_init_enter)(volatile void *location)
{
  REAL(g_once_init_enter);
  gboolean first = real(location);
  if (!first)
    __tsan_acquire((void *)location);
  return first;
}

void (g_once_init_leave)(volatile void *location, gsize result)
{
  REAL(g_once_init_leave);
  __tsan_release((void *)location);
  real(location, result);
}

/* What is pushed to a pool is seen by the thread that runs it. */
typedef struct {
  GFunc run;
  gpointer user_data;
} PoolRun;

static void pool_run(gpointer data, gpointer pool_run_of)
{
  const PoolRun *p = pool_run_of;
  __tsan_acquire(data);
  p->run(data, p->user_data);
}

GThreadPool *g_thread_pool_new(GFunc run, gpointer user_data, gint max_threads, gboolean exclusive, GError **error)
{
  REAL(g_thread_pool_new);
  PoolRun *p = g_new(PoolRun, 1); /* as long as the process: pools are few */
  *p = (PoolRun){ run, user_data };
  return real(pool_run, p, max_threads, exclusive, error);
}

gboolean g_thread_pool_push(GThreadPool *pool, gpointer data, GError **error)
{
  REAL(g_thread_pool_push);
  __tsan_release(data);
  return real(pool, data, error);
}

/* A queue's own nodes are made in one thread and freed in another, under its lock; one thread frees them inside GLib. Of libvirt the
 * sanitizer sees the locks but not the counters that order what they guard, and calls their end a race; its own errors leave a lock held that it destroys. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
  return "race:g_queue_pop_tail\nrace:libvirt.so.0\nmutex:libvirt.so.0\n";
}
