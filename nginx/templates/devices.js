// A limit on how many addresses use a link at a time. nginx runs this only for links that have one: once when it
// has read whom a connection asks for, and once when that connection has ended.
//
// $edge_link: "SNI-domain limit engine otherwise", of the link that is asked for; the last two are addresses.
// $edge_held: the address that this connection is counted under, if it is.
// ngx.shared.edge_devices, as JSON:
//   "DOMAIN PID"  {address: connections}: what one worker has let in. Only that worker writes it, so no end of a
//                 connection is lost, whatever others do meanwhile.
//   "DOMAIN"      {refused, pids}: which workers have let somebody in. Who changes it holds the link's lock.
// Workers of an earlier configuration, which end with their last connection, go on with theirs.
//
// Only what the oldest njs that has shared dictionaries (0.8.0) knows: no destructuring, no `?.`.
import fs from 'fs';

// How long a worker waits for another one that has the lock, which takes far less than a millisecond. After that it
// goes on: two that come at the same instant may then both get the last place. If a worker is killed just then, its
// lock is gone after a second (the timeout of the zone).
const WAIT_MS = 20;

function locked(name, change) {
    const locks = ngx.shared.edge_devices_lock;
    const end = Date.now() + WAIT_MS;
    let mine = locks.add(name, '1');
    while (!mine && Date.now() < end) {
        mine = locks.add(name, '1');
    }
    try {
        return change();
    } finally {
        if (mine) {
            locks.delete(name);
        }
    }
}

function read(key, otherwise) {
    const text = ngx.shared.edge_devices.get(key);
    return text ? JSON.parse(text) : otherwise;
}

function write(key, value) {
    ngx.shared.edge_devices.set(key, JSON.stringify(value));
}

// A worker that was killed could not give back what it held.
function lives(pid) {
    try {
        fs.accessSync('/proc/' + pid);
    } catch (error) {
        return error.code !== 'ENOENT';
    }
    return true;
}

// The addresses that use the link. Forgets workers that are no more, or have nobody there.
function users(name, link) {
    const at = {};
    link.pids = link.pids.filter((pid) => {
        const key = name + ' ' + pid;
        const held = read(key, null);
        if (held && !lives(pid)) {
            ngx.shared.edge_devices.delete(key);
            return false;
        }
        Object.keys(held || {}).forEach((address) => {
            at[address] = true;
        });
        return held !== null;
    });
    return at;
}

// Where a connection goes: to the link's engine, or, if it is from one address too many, where strangers go.
function enter(s) {
    const told = s.variables.edge_link.split(' ');
    try {
        const name = told[0];
        const address = s.rawVariables.edge_place.toString('hex');
        const known = read(name + ' ' + process.pid, {})[address];
        if (!known && !locked(name, () => place(name, Number(told[1]), address))) {
            return told[3];
        }
        if (known) {
            take(name, address);
        }
        s.variables.edge_held = address;
    } catch (error) {
        // The dictionary is full: nobody is kept out for that.
    }
    return told[2];
}

// Whether there is one for this address; then it is taken.
function place(name, limit, address) {
    const link = read(name, {refused: 0, pids: []});
    const at = users(name, link);
    const free = at[address] || Object.keys(at).length < limit;
    if (free) {
        take(name, address);
        if (link.pids.indexOf(process.pid) < 0) {
            link.pids.push(process.pid);
        }
    } else {
        link.refused += 1;
    }
    note(name, link);
    return free;
}

function take(name, address) {
    const key = name + ' ' + process.pid;
    const held = read(key, {});
    held[address] = (held[address] || 0) + 1;
    write(key, held);
}

function note(name, link) {
    try {
        write(name, link);
    } catch (error) {
        // Full. What is lost is a number, or that this worker has somebody: fewer are counted than there are.
    }
}

// Gives back what enter() took, whoever ended the connection.
function leave(s) {
    const address = s.variables.edge_held;
    const key = s.variables.edge_link.split(' ')[0] + ' ' + process.pid;
    try {
        const held = read(key, {});
        held[address] -= 1;
        if (!(held[address] > 0)) {
            delete held[address];
        }
        if (Object.keys(held).length) {
            write(key, held);
        } else {
            ngx.shared.edge_devices.delete(key);
        }
    } catch (error) {
        // Full: rather count anew than keep a place for somebody who is gone.
        ngx.shared.edge_devices.delete(key);
    }
    return '';
}

// What the panel reads: SNI domain -> {refused, at: addresses} of every link that somebody has used. It waits for no
// lock: of a thousand links, that would take long.
function told() {
    const answer = {};
    ngx.shared.edge_devices.keys(100000).filter((key) => key.indexOf(' ') < 0).forEach((name) => {
        const link = read(name, {refused: 0, pids: []});
        answer[name] = {at: Object.keys(users(name, link)), refused: link.refused};
    });
    return JSON.stringify(answer);
}

export default {enter, leave, told};
