#!/usr/bin/env python3
"""Compares `keyferry inspect --json` with what others say about the same snapshots: the expectations
of librdb's tests, and what the live servers answered that wrote generated/*/full.rdb. The corpus is
no part of the tree: KEYFERRY_CORPUS names its folder. Usage: inspect_corpus.py KEYFERRY_BINARY"""
import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

SKIPPED = 77  # ctest: SKIP_RETURN_CODE


def binary(form):
    """A string of inspect's JSON as bytes, one character each."""
    if isinstance(form, dict):
        return base64.b64decode(form['base64']).decode('latin-1')
    return form.encode().decode('latin-1')


def inspect(keyferry, path):
    """All objects; fails when inspect does."""
    run = subprocess.run([keyferry, 'inspect', '--json', str(path)], stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def number(text):
    return float(text)


def value_of(key):
    """The value in the form that both expectations are brought to."""
    value = key['value']
    kind = key['type']
    if kind == 'string':
        return binary(value)
    if kind == 'list':
        return [binary(item) for item in value]
    if kind == 'set':
        return sorted(binary(item) for item in value)
    if kind == 'zset':
        return {binary(member): number(score) for member, score in value}
    if kind == 'hash':
        return {binary(pair[0]): binary(pair[1]) for pair in value}
    if kind == 'stream':
        return [[entry, [binary(part) for part in pairs]] for entry, pairs in value['entries']]
    return None


class Report:
    def __init__(self):
        self.compared = 0
        self.wrong = 0

    def equal(self, what, got, expected):
        self.compared += 1
        if got != expected:
            self.wrong += 1
            print(f'{what}:\n  got      {str(got)[:500]}\n  expected {str(expected)[:500]}')


# --- librdb

# Snapshot -> expectation, as librdb's test/test_rdb_to_json.c pairs them; without set_expired_v11,
# whose only key librdb leaves out because it has expired: inspect shows what is there.
LIBRDB = {
    'multiple_lists_strings': 'multiple_lists_strings_data',
    'quicklist': 'quicklist_data', 'single_key': 'single_key_data', 'single_list': 'single_list_data',
    'hash_v3': 'hash_data', 'hash_zl_v6': 'hash_zl_v6_data', 'hash_lp_v11': 'hash_lp_v11_data',
    'hash_zm_v2': 'hash_zm_v2_data', 'hash_with_expire_v12': 'hash_ex_v12_data',
    'hash_lp_with_hexpire_v12': 'hash_lp_ex_v12_data', 'plain_list_v6': 'plain_list_v6_data',
    'plain_set_v6': 'plain_set_v6_data', 'plain_zset_v6': 'plain_zset_v6_data',
    'plain_zset_2_v11': 'plain_zset_2_v11_data', 'set_is_v11': 'set_is_v11_data',
    'set_lp_v11': 'set_lp_v11_data', 'zset_lp_v11': 'zset_lp_v11_data',
    'zset_zl_v6': 'zset_zl_v6_data', 'ziplist_v3': 'ziplist_data', 'stream_v11': 'stream_data',
    'multiple_dbs': 'multiple_dbs_data', 'string_int_encoded': 'string_int_encoded',
    'set_not_expired_v11': 'set_not_expired',
    'mem_policy_lfu': 'mem_policy_lfu', 'mem_policy_lru': 'mem_policy_lru', 'function2': 'function2',
    'cluster_slot_info': 'cluster_slot_info',
}


def librdb_value(value, kind):
    if kind == 'set':
        return sorted(value)
    if kind == 'zset':
        return {member: number(score) for member, score in value.items()}
    if kind == 'stream':
        return [[entry['id'], [part for pair in entry['items'].items() for part in pair]]
                for entry in value['entries']]
    return value


def librdb_expectation(path):
    """Keys and AUX of one of librdb's JSON files, which may lack the outer brackets."""
    text = path.read_text(encoding='latin-1').strip()
    try:
        whole = json.loads(text)
    except ValueError:
        whole = json.loads('{' + text + '}')
    databases = whole if isinstance(whole, list) else [whole]
    keys = {}
    for database in databases:
        keys.update(database)
    return keys


def compare_librdb(keyferry, folder, report):
    for snapshot, expectation in sorted(LIBRDB.items()):
        rdb, expected_file = folder / f'{snapshot}.rdb', folder / f'{expectation}.json'
        if not rdb.exists() or not expected_file.exists():
            continue
        expected = librdb_expectation(expected_file)
        objects = inspect(keyferry, rdb)
        aux = {binary(o['aux'][0]): binary(o['aux'][1]) for o in objects if 'aux' in o}
        if '__aux__' in expected:
            report.equal(f'{snapshot} aux', aux, expected.pop('__aux__'))
        keys = [o for o in objects if 'key' in o]
        for special in [name for name in expected if name.startswith('__')]:
            del expected[special]
        report.equal(f'{snapshot} keys', sorted(binary(k['key']) for k in keys), sorted(expected))
        for key in keys:
            name = binary(key['key'])
            if name in expected:
                report.equal(f'{snapshot} {name}', value_of(key),
                             librdb_value(expected[name], key['type']))


# --- live servers

def text_or_digest(text):
    """Long strings are kept as length and SHA-256."""
    if len(text) <= 200:
        return text
    return {'len': len(text), 'sha256': hashlib.sha256(text.encode('latin-1')).hexdigest()}


def live_value(entry):
    value = entry['value']
    if entry['type'] == 'zset':
        return {value[i]: number(value[i + 1]) for i in range(0, len(value), 2)}
    return value


def shortened(value):
    if isinstance(value, str):
        return text_or_digest(value)
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return value


def sorted_like(value, kind):
    return sorted(value, key=str) if kind == 'set' else value


def compare_stream(where, key, entry, report):
    value = key['value']
    info = dict(zip(entry['info'][::2], entry['info'][1::2]))
    report.equal(f'{where} last id', value['last_id'], info['last-generated-id'])
    report.equal(f'{where} length', len(value['entries']), info['length'])
    if 'entries-added' in info:
        report.equal(f'{where} added', value['entries_added'], info['entries-added'])
        report.equal(f'{where} deleted', value['max_deleted_id'], info['max-deleted-entry-id'])
        report.equal(f'{where} first', value['first_id'], info['recorded-first-entry-id'])
    groups = []
    for fields in entry['groups']:
        groups.append(dict(zip(fields[::2], fields[1::2])))
    got = [(binary(g['name']), g['last_id'], len(g['pending']), len(g['consumers'])) for g in value['groups']]
    expected = [(g['name'], g['last-delivered-id'], g['pending'], g['consumers']) for g in groups]
    report.equal(f'{where} groups', sorted(got), sorted(expected))
    for group in value['groups']:
        owners = {entry_id: binary(c['name']) for c in group['consumers'] for entry_id in c['pending']}
        pending = [[entry_id, owners.get(entry_id), times] for entry_id, _, times in group['pending']]
        said = entry['pending'].get(binary(group['name']))
        if said is not None:
            # XPENDING: id, consumer, idle time (of the moment it was asked), deliveries
            report.equal(f'{where} pending', pending, [[p[0], p[1], p[3]] for p in said])


def compare_live(keyferry, folder, report):
    said = json.loads((folder / 'full.json').read_text(encoding='utf-8'))
    keys = {(str(k['db']), binary(k['key'])): k
            for k in inspect(keyferry, folder / 'full.rdb') if 'key' in k}
    names = {(db, name) for db in said for name in said[db]}
    report.equal(f'{folder.name} number of keys', len(keys), len(names))
    for (db, name), key in sorted(keys.items()):
        entry = said.get(db, {}).get(name)
        where = f'{folder.name} {db} {name[:60]!r}'
        if entry is None:
            entry = said.get(db, {}).get(json.dumps(text_or_digest(name)))
        if entry is None:
            report.equal(where, 'key', 'no such key')
            continue
        if key['type'] == 'module' or 'value' not in entry:
            continue
        report.equal(f'{where} type', key['type'], entry['type'])
        if not folder.name.startswith(('redis-2.2', 'redis-2.4')):  # no PTTL to ask
            report.equal(f'{where} expiry', key.get('expire_ms'), entry.get('pexpireat'))
        kind = key['type']
        report.equal(where, sorted_like(shortened(value_of(key)), kind),
                     sorted_like(live_value(entry), kind))
        if kind == 'hash':
            ttls = {binary(pair[0]): pair[2] for pair in key['value'] if len(pair) > 2}
            report.equal(f'{where} fields', ttls, entry.get('field_pexpiretime', {}))
        if kind == 'stream' and 'info' in entry:
            compare_stream(where, key, entry, report)


def main():
    corpus = os.environ.get('KEYFERRY_CORPUS')
    if not corpus:
        print('KEYFERRY_CORPUS is not set: no corpus to read')
        return SKIPPED
    report = Report()
    compare_librdb(sys.argv[1], Path(corpus) / 'librdb/test/dumps', report)
    from_librdb = report.compared
    for folder in sorted((Path(corpus) / 'generated').iterdir()):
        if (folder / 'full.json').exists():
            compare_live(sys.argv[1], folder, report)
    print(f'{from_librdb} claims of librdb and {report.compared - from_librdb} of live servers, '
          f'{report.wrong} differ')
    enough = from_librdb > 100 and report.compared > 2000
    return 0 if enough and report.wrong == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
