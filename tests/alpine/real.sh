#!/bin/sh
# Runs in the guest. Each check says `real: ok …` or `real: failed …` on the console.

check() {
    what=$1
    shift
    if told=$("$@" 2>&1); then
        echo "real: ok $what"
    else
        echo "real: failed $what: $told"
    fi
}

# No output, as of a comparison.
nothing() {
    told=$("$@" 2>&1) && [ -z "$told" ] && return
    echo "$told"
    return 1
}

# The database, in both roots.
same_database() {
    for file in lib/apk/db/installed lib/apk/db/scripts.tar lib/apk/db/triggers etc/apk/world etc/apk/arch; do
        cmp "/control/$file" "/$file" || return 1
    done
    nothing diff /control/lib/apk/db/installed /lib/apk/db/installed
}

# Modes and owners of what packages have, in the root $1. What is mounted is another's.
metadata() {
    sed -n 's/^F://p; s/^P:.*//p; s/^R:/R:/p' /control/lib/apk/db/installed |
        awk '/^R:/ { print folder "/" substr($0, 3); next } { folder = "/" $0; print folder }' |
        grep -v -e '^/$' -e '^/dev' -e '^/proc$' -e '^/sys$' -e '^/run$' -e '^/etc/inittab$' |
        sort -u | tr '\n' '\0' | (cd "$1" && sed 's/\x00\//\x00.\//g; s/^\//.\//' | xargs -0 stat -c '%n %a %u:%g %F')
}

same_metadata() {
    metadata /control >/tmp/control
    metadata / >/tmp/ours
    [ "$(wc -l </tmp/ours)" -gt 3000 ] || { echo "too few files"; return 1; }
    nothing diff /tmp/control /tmp/ours
}

gone() {
    for name in "$@"; do
        apk info -e "$name" && return 1
        grep -q "^P:$name\$" /lib/apk/db/installed && return 1
    done
    [ ! -e /usr/bin/tool ] && [ ! -e /usr/share/tool ] && [ ! -e /opt/deep ] && [ ! -e /in-the-root ]
}

changed() {
    echo other >/usr/share/tool/ünï
    [ "$(apk audit --system)" = "U usr/share/tool/ünï" ]
}

in_both() {
    apk "$@" && chroot /control apk "$@"
}

apk info -vv | sed 's/^/info: /'
check "nothing is changed" nothing apk audit --system
check "all packages are as they were signed" apk verify /srv/ours/x86_64/*.apk /srv/theirs/x86_64/*.apk

mkdir /control
tar -xzf /srv/base.tgz -C /control
cp -r /srv/ours /srv/theirs /control/srv/
cp /etc/apk/keys/tests.rsa.pub /control/etc/apk/keys/
cp /etc/apk/repositories /control/etc/apk/
mount --bind /dev /control/dev
check "apk installs the same" chroot /control apk add pcre bash meta
check "the database is that of apk" same_database
check "modes and owners are those of apk" same_metadata

check "a change is found" changed
check "it is mended" in_both fix tool-files
check "nothing is changed any more" nothing apk audit --system

check "a package is added" in_both add further
check "its script ran" grep -q further /var/lib/further-made
check "a trigger that was there is told" grep -q ' /usr/share/watched/two$' /var/lib/tool-triggered
check "apk goes on from the database" same_database

check "packages are taken away" in_both del further meta pcre
check "with their files" gone further meta tool tool-files Upper along pcre
check "their scripts ran" grep -q gone /var/lib/tool-going
check "the others stay" /bin/bash -c true
check "apk leaves the same" same_database
check "nothing else is changed" nothing apk audit --system
echo "real: all done"
exec sleep 1000000
