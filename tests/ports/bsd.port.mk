# SPDX-License-Identifier: BSD-2-Clause
# Stands in for the ports tree's file: the values that the skeletons use, and
# targets that show the commands which the real one would run.
LOCALBASE=	/usr/local
PREFIX=		${LOCALBASE}
SRC_BASE=	/usr/src
WRKDIR=		/wrkdirs
DISTNAME?=	${PORTNAME}-${DISTVERSION}
WRKSRC=		${WRKDIR}/${DISTNAME}${WRKSRC_SUBDIR:D/${WRKSRC_SUBDIR}}
BUILD_WRKSRC?=	${WRKSRC}
INSTALL_WRKSRC?=	${WRKSRC}
STAGEDIR=	/stage
EXAMPLESDIR=	${PREFIX}/share/examples/${PORTNAME}
KMODDIR=	/boot/modules
PYTHON_PKGNAMEPREFIX=	py311-
PY_FLAVOR=	py311
PKGNAME=	${PKGNAMEPREFIX}${PORTNAME}${PKGNAMESUFFIX}-${DISTVERSION}
SETENV=		env
MAKE_CMD=	make
ALL_TARGET=	all
INSTALL_TARGET=	install
MKDIR=		mkdir -p
INSTALL_DATA=	install -m 0644

do-build do-install:
