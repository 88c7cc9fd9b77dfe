/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /dev/xen/evtchn with FreeBSD's commands: another driver's device, for
 * programs that use it together with ours.  An open file binds ports, reads the
 * numbers of those with an event, and writes them back to get the next event.
 *
 * An event of this process reaches the file at once, others through a thread
 * that waits for the machine.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/conf.h>
#include <sys/errno.h>
#include <sys/file.h>
#include <sys/ioccom.h>
#include <sys/proc.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include <xen/xen-os.h>
#include <xen/error.h>
#include <xen/xen_intr.h>

#include "kpi.h"

enum port_use { UNUSED, ENABLED, DISABLED };

/* FreeBSD's ring holds a page of ports. */
#define	RING		1024u

struct evtchn_file {
	LIST_ENTRY(evtchn_file) link;
	uint8_t		use[XEN_MODEL_PORTS];	/* enum port_use */
	uint32_t	ring[RING];
	uint32_t	prod, cons;		/* never wrapped */
	bool		overflow;
	void		(*watch)(void *, enum harness_watch);
	void		*watch_arg;
};

static struct {
	volatile u_int	once;
	bool		ready;
	struct os_mutex	mutex;
	struct os_cond	cond;		/* a file has something to read */
	LIST_HEAD(, evtchn_file) files;
	struct cdev	*node;
	os_thread_t	thread;
	bool		started;
	bool		stop;
} ev;

static void
ev_init(void)
{

	while (atomic_cmpset_int(&ev.once, 0, 1) == 0)
		os_yield();
	if (!ev.ready) {
		os_mutex_init(&ev.mutex);
		os_cond_init(&ev.cond);
		ev.ready = true;
	}
	atomic_store_rel_int(&ev.once, 0);
}

static void
watch(struct evtchn_file *f, enum harness_watch what)
{

	if (f->watch != NULL)
		f->watch(f->watch_arg, what);
}

/* The interrupt of a port, which is then masked until it is enabled. */
static void
deliver(struct evtchn_file *f, uint32_t port)
{

	xen_domain_port_mask(kpi_domain, port, true);
	f->use[port] = DISABLED;
	if (f->prod - f->cons == RING)
		f->overflow = true;
	else {
		f->ring[f->prod % RING] = port;
		if (f->prod++ == f->cons)
			watch(f, HARNESS_WATCH_READY);
	}
	os_cond_broadcast(&ev.cond);
}

/*
 * Called with ev.mutex held: delivers everything pending, in order of arrival.
 */
static void
file_scan(struct evtchn_file *f)
{
	uint64_t order, least;
	uint32_t i, port;

	for (;;) {
		port = 0;
		least = UINT64_MAX;
		for (i = 1; i < XEN_MODEL_PORTS; i++) {
			if (f->use[i] != ENABLED ||
			    !xen_domain_port_pending(kpi_domain, i))
				continue;
			order = xen_domain_port_order(kpi_domain, i);
			if (order < least) {
				least = order;
				port = i;
			}
		}
		if (port == 0 || !xen_domain_port_take(kpi_domain, port))
			return;
		deliver(f, port);
	}
}

void
kpi_evtchn_scan(void)
{
	struct evtchn_file *f;

	if (!ev.ready || kpi_inherited || kpi_domain == NULL)
		return;
	os_mutex_lock(&ev.mutex);
	LIST_FOREACH(f, &ev.files, link)
		file_scan(f);
	os_mutex_unlock(&ev.mutex);
}

static bool
stopping(void)
{
	bool stop;

	os_mutex_lock(&ev.mutex);
	stop = ev.stop;
	os_mutex_unlock(&ev.mutex);
	return (stop);
}

static void
ev_main(void *arg)
{
	uint32_t seen;

	curthread->td_kthread = true;
	while (!stopping()) {
		seen = xen_domain_events(kpi_domain);
		kpi_enter();
		kpi_evtchn_scan();
		kpi_leave("events were delivered");
		if (!stopping())
			xen_domain_wait_event(kpi_domain, seen, 1000000000u);
	}
}

static void
ev_start(void)
{

	os_mutex_lock(&ev.mutex);
	if (!ev.started) {
		ev.started = true;
		ev.stop = false;
		if (os_thread_start(&ev.thread, ev_main, NULL) != 0)
			panic("no thread for events");
	}
	os_mutex_unlock(&ev.mutex);
}

/* Before the domain goes. */
static void
ev_stop(void)
{
	bool started;

	os_mutex_lock(&ev.mutex);
	started = ev.started;
	ev.stop = true;
	os_mutex_unlock(&ev.mutex);
	if (started) {
		xen_domain_wake(kpi_domain);
		os_thread_join(ev.thread);
	}
	ev.started = false;
}

/* Device methods. */

static void
file_free(void *arg)
{
	struct evtchn_close close;
	struct evtchn_file *f;
	uint32_t i;

	f = arg;
	os_mutex_lock(&ev.mutex);
	LIST_REMOVE(f, link);
	watch(f, HARNESS_WATCH_GONE);
	os_mutex_unlock(&ev.mutex);
	for (i = 1; i < XEN_MODEL_PORTS && !kpi_inherited; i++)
		if (f->use[i] != UNUSED) {
			close.port = i;
			xen_event_channel_op(kpi_domain, EVTCHNOP_close,
			    &close);
		}
	os_free(f);
}

static int
evtchn_open(struct cdev *dev, int oflags, int devtype, struct thread *td)
{
	struct evtchn_file *f;

	f = os_alloc(sizeof(*f));
	KASSERT(f != NULL, ("no memory for an evtchn file"));
	os_mutex_lock(&ev.mutex);
	LIST_INSERT_HEAD(&ev.files, f, link);
	os_mutex_unlock(&ev.mutex);
	ev_start();
	return (devfs_set_cdevpriv(f, file_free));
}

static int
evtchn_read(struct cdev *dev, struct uio *uio, int ioflag)
{
	struct evtchn_file *f;
	uint32_t port;
	ssize_t left;
	int error;

	error = devfs_get_cdevpriv((void **)&f);
	if (error != 0)
		return (EINVAL);
	left = uio->uio_resid / (ssize_t)sizeof(port);
	if (left == 0)
		return (0);
	kpi_evtchn_scan();
	os_mutex_lock(&ev.mutex);
	if (f->overflow)
		error = EFBIG;
	else if (f->prod == f->cons)
		error = EAGAIN;
	for (; error == 0 && left > 0 && f->prod != f->cons; left--) {
		port = f->ring[f->cons % RING];
		error = uiomove(&port, sizeof(port), uio);
		if (error == 0 && ++f->cons == f->prod)
			watch(f, HARNESS_WATCH_EMPTY);
	}
	os_mutex_unlock(&ev.mutex);
	return (error);
}

static int
evtchn_write(struct cdev *dev, struct uio *uio, int ioflag)
{
	struct evtchn_file *f;
	uint32_t port;
	int error;

	error = devfs_get_cdevpriv((void **)&f);
	if (error != 0)
		return (EINVAL);
	while (error == 0 && uio->uio_resid >= (ssize_t)sizeof(port)) {
		error = uiomove(&port, sizeof(port), uio);
		if (error != 0)
			break;
		os_mutex_lock(&ev.mutex);
		if (port < XEN_MODEL_PORTS && f->use[port] == DISABLED) {
			f->use[port] = ENABLED;
			xen_domain_port_mask(kpi_domain, port, false);
		}
		os_mutex_unlock(&ev.mutex);
	}
	kpi_evtchn_scan();
	return (error);
}

/* FreeBSD's commands. */
struct bind_virq {
	u_int	virq, port;
};
struct bind_interdomain {
	u_int	remote_domain, remote_port, port;
};
struct bind_unbound {
	u_int	remote_domain, port;
};
struct one_port {
	u_int	port;
};
#define	EV_BIND_VIRQ		_IOWR('E', 4, struct bind_virq)
#define	EV_BIND_INTERDOMAIN	_IOWR('E', 5, struct bind_interdomain)
#define	EV_BIND_UNBOUND		_IOWR('E', 6, struct bind_unbound)
#define	EV_UNBIND		_IOW('E', 7, struct one_port)
#define	EV_NOTIFY		_IOW('E', 8, struct one_port)
#define	EV_RESET		_IO('E', 9)

static int
bound(struct evtchn_file *f, long rc, uint32_t port, u_int *out)
{

	if (rc != 0)
		return (xen_translate_error((int)rc));
	os_mutex_lock(&ev.mutex);
	f->use[port] = ENABLED;
	os_mutex_unlock(&ev.mutex);
	*out = port;
	kpi_evtchn_scan();
	return (0);
}

static int
bind_virq(struct evtchn_file *f, struct bind_virq *b)
{
	struct evtchn_bind_virq op;
	long rc;

	memset(&op, 0, sizeof(op));
	op.virq = b->virq;
	rc = xen_event_channel_op(kpi_domain, EVTCHNOP_bind_virq, &op);
	return (bound(f, rc, op.port, &b->port));
}

static int
bind_interdomain(struct evtchn_file *f, struct bind_interdomain *b)
{
	struct evtchn_bind_interdomain op;
	long rc;

	memset(&op, 0, sizeof(op));
	op.remote_dom = (domid_t)b->remote_domain;
	op.remote_port = b->remote_port;
	rc = xen_event_channel_op(kpi_domain, EVTCHNOP_bind_interdomain, &op);
	return (bound(f, rc, op.local_port, &b->port));
}

static int
bind_unbound(struct evtchn_file *f, struct bind_unbound *b)
{
	struct evtchn_alloc_unbound op;
	long rc;

	memset(&op, 0, sizeof(op));
	op.dom = DOMID_SELF;
	op.remote_dom = (domid_t)b->remote_domain;
	rc = xen_event_channel_op(kpi_domain, EVTCHNOP_alloc_unbound, &op);
	return (bound(f, rc, op.port, &b->port));
}

static int
one_port(struct evtchn_file *f, u_int port, bool notify)
{
	struct evtchn_close close;
	struct evtchn_send send;
	bool mine;

	if (port >= XEN_MODEL_PORTS)
		return (EINVAL);
	os_mutex_lock(&ev.mutex);
	mine = f->use[port] != UNUSED;
	if (mine && !notify)
		f->use[port] = UNUSED;
	os_mutex_unlock(&ev.mutex);
	if (!mine)
		return (ENOTCONN);
	if (notify) {
		send.port = port;
		xen_event_channel_op(kpi_domain, EVTCHNOP_send, &send);
		kpi_evtchn_scan();
	} else {
		close.port = port;
		xen_event_channel_op(kpi_domain, EVTCHNOP_close, &close);
	}
	return (0);
}

static int
reset(struct evtchn_file *f)
{

	os_mutex_lock(&ev.mutex);
	f->cons = f->prod;
	f->overflow = false;
	watch(f, HARNESS_WATCH_EMPTY);
	os_mutex_unlock(&ev.mutex);
	return (0);
}

static int
evtchn_ioctl(struct cdev *dev, u_long cmd, caddr_t data, int fflag,
    struct thread *td)
{
	struct evtchn_file *f;
	void *arg;

	if (devfs_get_cdevpriv((void **)&f) != 0)
		return (EINVAL);
	arg = data;
	switch (cmd) {
	case EV_BIND_VIRQ:
		return (bind_virq(f, arg));
	case EV_BIND_INTERDOMAIN:
		return (bind_interdomain(f, arg));
	case EV_BIND_UNBOUND:
		return (bind_unbound(f, arg));
	case EV_UNBIND:
		return (one_port(f, ((struct one_port *)arg)->port, false));
	case EV_NOTIFY:
		return (one_port(f, ((struct one_port *)arg)->port, true));
	case EV_RESET:
		return (reset(f));
	default:
		return (ENOTTY);
	}
}

static struct cdevsw evtchn_cdevsw = {
	.d_version =	D_VERSION,
	.d_name =	"evtchn",
	.d_open =	evtchn_open,
	.d_ioctl =	evtchn_ioctl,
	.d_read =	evtchn_read,
	.d_write =	evtchn_write,
};

/* For programs of the host. */

static struct evtchn_file *
file_of(struct file *fp)
{

	return (fp->f_cdev->si_devsw == &evtchn_cdevsw ? fp->f_priv : NULL);
}

void
harness_evtchn_watch(struct file *fp, void (*fn)(void *, enum harness_watch),
    void *arg)
{
	struct evtchn_file *f;

	f = file_of(fp);
	os_mutex_lock(&ev.mutex);
	f->watch = fn;
	f->watch_arg = arg;
	if (f->prod != f->cons)
		watch(f, HARNESS_WATCH_READY);
	os_mutex_unlock(&ev.mutex);
}

bool
harness_evtchn_wait(struct file *fp, uint64_t timeout_ns)
{
	struct evtchn_file *f;
	uint64_t deadline;
	bool ready;

	f = file_of(fp);
	deadline = os_now() + timeout_ns;
	kpi_enter();
	kpi_evtchn_scan();
	kpi_leave("events were delivered");
	os_mutex_lock(&ev.mutex);
	while (!(ready = f->prod != f->cons || f->overflow))
		if (!os_cond_timedwait(&ev.cond, &ev.mutex, deadline))
			break;
	os_mutex_unlock(&ev.mutex);
	return (ready);
}

/* The domain was created; the domain goes. */

void
kpi_evtchn_load(void)
{
	struct make_dev_args args;

	ev_init();
	make_dev_args_init(&args);
	args.mda_devsw = &evtchn_cdevsw;
	args.mda_mode = 0600;
	if (make_dev_s(&args, &ev.node, "xen/evtchn") != 0)
		panic("xen/evtchn is there already");
}

void
kpi_evtchn_unload(void)
{

	destroy_dev(ev.node);
	ev_stop();
}

bool
kpi_evtchn_busy(void)
{
	bool busy;

	os_mutex_lock(&ev.mutex);
	busy = !LIST_EMPTY(&ev.files);
	os_mutex_unlock(&ev.mutex);
	return (busy);
}

void
kpi_evtchn_fork_child(void)
{

	if (!ev.ready)
		return;
	os_mutex_init(&ev.mutex);
	os_cond_init(&ev.cond);
	ev.started = false;
}
