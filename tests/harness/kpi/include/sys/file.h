/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _SYS_FILE_H_
#define	_SYS_FILE_H_

#include <sys/types.h>
#include <sys/conf.h>
#include <sys/fcntl.h>
#include <sys/queue.h>

#define	DTYPE_VNODE	1
#define	DTYPE_SOCKET	2

struct cap_rights;
struct thread;
struct ucred;
struct vnode;

struct file {
	short		f_type;		/* DTYPE_* */
	u_int		f_flag;		/* FREAD, FWRITE */
	volatile u_int	f_count;
	struct vnode	*f_vnode;
	/* Only the shim's. */
	TAILQ_ENTRY(file) f_link;
	struct cdev	*f_cdev;
	void		*f_priv;	/* cdevpriv */
	d_priv_dtor_t	*f_dtor;
};

int	fget(struct thread *, int fd, const struct cap_rights *,
	    struct file **);
int	fdrop(struct file *, struct thread *);
int	fo_ioctl(struct file *, u_long com, void *data, struct ucred *,
	    struct thread *);

#endif /* !_SYS_FILE_H_ */
