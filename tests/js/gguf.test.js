import assert from 'node:assert/strict';
import { FileProblem, readGguf } from '../../lmbook/widgets/core/gguf.js';
import { begin, Writer } from './gguf_writer.js';

/** A whole file: settings of every type, three tensors in 224 bytes of data. */
function small() {
  const file = begin(3, 6)
    .setting('a.text', 8).string('é')
    .setting('a.list', 9).number(8, 4).number(2, 8).string('x').string('')
    .setting('a.byte', 1).number(255, 1)
    .setting('a.yes', 7).number(1, 1)
    .setting('a.float', 6).number(0x3fc00000, 4)
    .setting('a.big', 10).number(7, 8)
    .tensor('one', [3], 0, 0).tensor('two', [32, 2], 3, 32).tensor('three', [32, 1], 8, 96);
  const data = Math.ceil(file.bytes.length / 32) * 32;
  return { file, data, size: data + 96 + 34 };
}

/** @param {DataView} view @param {RegExp} message */
function assertRefused(view, message) {
  assert.throws(() => readGguf(view), (error) => {
    assert.ok(error instanceof FileProblem, `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test('settings and tensors are read, the last axis of the file first', () => {
  const { file, data, size } = small();
  const { settings, tensors } = readGguf(file.view(size));
  assert.deepEqual(Object.fromEntries(settings), {
    'a.text': 'é',
    'a.list': ['x', ''],
    'a.byte': -1,
    'a.yes': true,
    'a.float': 1.5,
    'a.big': 7n,
  });
  assert.deepEqual(Object.fromEntries(tensors), {
    one: { kind: 'f32', shape: [3], at: data, size: 12 },
    two: { kind: 'q4', shape: [2, 32], at: data + 32, size: 40 },
    three: { kind: 'q8', shape: [1, 32], at: data + 96, size: 34 },
  });
});

Deno.test('a view that begins inside its buffer is read all the same', () => {
  const { file, size } = small();
  const shifted = new Uint8Array(size + 5);
  shifted.set(new Uint8Array(file.view(size).buffer), 5);
  assert.deepEqual(readGguf(new DataView(shifted.buffer, 5)), readGguf(file.view(size)));
});

Deno.test('a file cut anywhere is refused', () => {
  const { file, size } = small();
  for (let length = 0; length < size; length++) {
    assertRefused(new DataView(file.view(size).buffer.slice(0, length)), /no GGUF file|cut short/);
  }
});

Deno.test('a file with one byte changed is read or refused, and nothing else', () => {
  const { file, size } = small();
  for (let place = 0; place < file.bytes.length; place++) {
    for (const change of [1, 64, 128, 255]) {
      const view = file.view(size);
      view.setUint8(place, view.getUint8(place) ^ change);
      try {
        readGguf(view);
      } catch (error) {
        assert.ok(error instanceof FileProblem, `byte ${place}: ${error}`);
      }
    }
  }
});

Deno.test('counts that lead beyond the end are refused before any work', () => {
  assertRefused(begin(1e9, 0).view(1024), /a count of 1000000000 at byte 8 leads beyond its end/);
  assertRefused(begin(0, 2 ** 60).view(1024), /a count of 11529215046068\d+ at byte 16/);
  assertRefused(begin(0, 1).setting('a', 9).number(0, 4).number(1e9, 8).view(1024), /a count of 1000000000/);
  assertRefused(begin(0, 1).setting('a', 9).number(8, 4).number(900, 8).view(1024), /a count of 900/);
  assertRefused(begin(0, 1).number(1e12, 8).view(1024), /a count of 1000000000000/);
  assertRefused(begin(1, 0).string('w').number(1e9, 4).view(1024), /a tensor of 1000000000 axes/);
  assertRefused(begin(1, 0).tensor('w', [2 ** 31, 2 ** 31, 2 ** 31], 0, 0).view(1024), /cut short at 1,024 bytes/);
});

Deno.test('a large file is not read for ever either', () => {
  const size = 3e6;
  assertRefused(begin(0, 1).setting('a', 9).number(0, 4).number(2 ** 20 + 1, 8).view(size), /a count of 1048577 at/);
  assertRefused(begin(0, 1).string('a').number(8, 4).number(2e6, 8).view(size), /a count of 2000000 at/);
  const lists = begin(0, 2).setting('a', 9).number(0, 4).number(2 ** 20, 8);
  const twice = new Uint8Array(size);
  twice.set(lists.bytes);
  twice.set(new Writer().setting('b', 9).number(0, 4).number(1, 8).bytes, lists.bytes.length + 2 ** 20);
  assertRefused(new DataView(twice.buffer), /its lists have no end/);
});

Deno.test('numbers of every type are read, one behind the other', () => {
  const file = begin(0, 8).setting('u16', 2).number(0xfffe, 2).setting('i16', 3).number(0xfffe, 2);
  file.setting('u32', 4).number(0xfffffffe, 4).setting('i32', 5).number(0xfffffffe, 4).setting('u8', 0).number(254, 1);
  file.setting('f64', 12).number(0, 4).number(0xbff80000, 4).setting('i64', 11).number(0xfffffffe, 4);
  file.number(0xffffffff, 4).setting('no', 7).number(0, 1);
  const want = { u16: 65_534, i16: -2, u32: 4_294_967_294, i32: -2, u8: 254, f64: -1.5, i64: -2n, no: false };
  assert.deepEqual(Object.fromEntries(readGguf(file.view()).settings), want);
});

Deno.test('lists in lists end', () => {
  const file = begin(0, 1).setting('a', 9);
  for (let depth = 0; depth < 90; depth++) file.number(9, 4).number(1, 8);
  assertRefused(file.view(2000), /a value of the unknown type 9/);
});

Deno.test('each kind of damage has its sentence', () => {
  const html = new Writer();
  html.bytes = [...new TextEncoder().encode('<!doctype html>')];
  assertRefused(html.view(), /^this is no GGUF file: it begins with "<!do", not with "GGUF"$/);
  assertRefused(new Writer().view(), /it begins with ""/);
  assertRefused(begin(0, 0, 1).view(), /GGUF of version 1; this page reads 2 and 3/);
  assertRefused(begin(0, 0, 2 ** 24 * 3).view(), /GGUF of version 50331648/);
  assertRefused(begin(0, 1).setting('a', 13).view(99), /a value of the unknown type 13/);
  assertRefused(begin(0, 2).setting('a', 0).number(1, 1).setting('a', 0).number(1, 1).view(), /the setting "a" twice/);
  assertRefused(begin(0, 1).number(1, 8).number(255, 1).view(99), /isn’t UTF-8/);
  assertRefused(
    begin(1, 0).tensor('w', [4], 2, 0).view(200),
    /a tensor of the type 2; this page reads F32, Q4_1 and Q8_0/,
  );
  assertRefused(begin(1, 0).tensor('w', [33], 8, 0).view(200), /blocks of 32 in rows of 33 numbers/);
  assertRefused(begin(1, 0).tensor('w', [4], 0, 32).view(200), /the tensor "w" doesn’t follow the one before/);
  assertRefused(begin(2, 0).tensor('w', [4], 0, 0).tensor('w', [4], 0, 32).view(400), /the tensor "w" twice/);
  const odd = begin(0, 1).setting('general.alignment', 4);
  assertRefused(odd.number(0, 4).view(), /an alignment of 0/);
});

Deno.test('the alignment is the file’s own', () => {
  const file = begin(2, 1).setting('general.alignment', 4).number(64, 4)
    .tensor('a', [1], 0, 0).tensor('b', [1], 0, 64);
  const { tensors } = readGguf(file.view(1024));
  const data = Math.ceil(file.bytes.length / 64) * 64;
  assert.deepEqual([...tensors.values()].map(({ at }) => at), [data, data + 64]);
});

Deno.test('what reaches a limit is read, and what passes it isn’t', () => {
  assert.equal(readGguf(begin(0, 0, 2).view()).settings.size, 0);
  const text = begin(0, 1).setting('a', 8).string('\ufeffx').view(); // the text fills the file to its end
  assert.equal(readGguf(text).settings.get('a'), '\ufeffx');
  const long = begin(0, 1).setting('a', 9).number(0, 4);
  const place = long.bytes.length;
  const most = readGguf(long.number(2 ** 20, 8).view(2 ** 20 + place + 8)).settings.get('a');
  assert.equal(/** @type {unknown[]} */ (most).length, 2 ** 20);
  const longer = begin(0, 1).setting('a', 9).number(0, 4).number(2 ** 20 + 1, 8).view(3e6);
  assertRefused(longer, RegExp(`a count of 1048577 at byte ${place}$`));
  assert.deepEqual(readGguf(begin(1, 0).tensor('w', [4, 1, 1, 1], 0, 0).view(200)).tensors.get('w')?.shape, [
    1,
    1,
    1,
    4,
  ]);
  assertRefused(begin(1, 0).tensor('w', [4, 1, 1, 1, 1], 0, 0).view(300), /a tensor of 5 axes/);
  const aligned = (/** @type {number} */ to) => begin(0, 1).setting('general.alignment', 4).number(to, 4).view();
  for (const to of [1, 65_536]) assert.equal(readGguf(aligned(to)).settings.get('general.alignment'), to);
  assertRefused(aligned(65_537), /an alignment of 65537/);
});
