;; The products of a transformer, in WebAssembly with SIMD: nearly all of a model's time is spent in these loops.
;;
;; A v128 holds four float32 or eight int16, and an instruction works on all of them at once. Addresses and steps
;; (from a row to the next) are in bytes. kernels.js has each function in plain JavaScript too, where it is easier to
;; read; tools/assemble.py turns this file into kernels_binary.js.
;;
;;   products     out[t, r]  = Σ_c x[t, c] · w[r, c]     forward: a matrix times one vector (one token) or many
;;   combine      out[i, c] += Σ_k y[i, k] · w[k, c]     backward: dX = dY · W, dW = dYᵀ · X; attention's sum of values
;;   quantise     x in 24-bit integers, a scale for each block of 32 columns
;;   blockProducts  as products, with weights of 4 or 8 bits in such blocks
(module
  (import "env" "memory" (memory 1))

  ;; ---- products: out[t, r] = Σ_c x[t, c] · w[r, c] ---------------------------------------------------------------
  ;; Four rows at a time share the loads of x. Where the number of rows is no multiple of four, the last group begins
  ;; earlier and some rows are done twice; of fewer than four rows each is done by itself ($group = 1, its pointers all
  ;; the same). A row's sum runs in one order, whatever the group: the same bits for one token as for many.
  (func (export "products") (param $out i32) (param $outStep i32) (param $x i32) (param $xStep i32) (param $tokens i32)
      (param $w i32) (param $wStep i32) (param $rows i32) (param $columns i32)
    (local $group i32) (local $next i32) (local $r i32) (local $t i32)
    (local $px i32) (local $end i32) (local $last i32) (local $w0 i32) (local $w1 i32) (local $w2 i32) (local $w3 i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $v v128)
    (local.set $group (select (i32.const 4) (i32.const 1) (i32.ge_u (local.get $rows) (i32.const 4))))
    (local.set $next (select (local.get $wStep) (i32.const 0) (i32.eq (local.get $group) (i32.const 4))))
    (block $done (loop $groups
      (br_if $done (i32.ge_u (local.get $r) (local.get $rows)))
      (if (i32.gt_u (i32.add (local.get $r) (local.get $group)) (local.get $rows))
        (then (local.set $r (i32.sub (local.get $rows) (local.get $group)))))
      (local.set $t (i32.const 0))
      (block $read (loop $each
        (br_if $read (i32.ge_u (local.get $t) (local.get $tokens)))
        (local.set $w0 (i32.add (local.get $w) (i32.mul (local.get $r) (local.get $wStep))))
        (local.set $w1 (i32.add (local.get $w0) (local.get $next)))
        (local.set $w2 (i32.add (local.get $w1) (local.get $next)))
        (local.set $w3 (i32.add (local.get $w2) (local.get $next)))
        (local.set $px (i32.add (local.get $x) (i32.mul (local.get $t) (local.get $xStep))))
        (local.set $last (i32.add (local.get $px) (i32.shl (local.get $columns) (i32.const 2))))
        (local.set $end (i32.add (local.get $px) (i32.shl (i32.and (local.get $columns) (i32.const -4)) (i32.const 2))))
        (local.set $a (v128.const i32x4 0 0 0 0)) (local.set $b (local.get $a))
        (local.set $c (local.get $a)) (local.set $d (local.get $a))
        ;; four columns of four rows
        (block $tail (loop $four
          (br_if $tail (i32.ge_u (local.get $px) (local.get $end)))
          (local.set $v (v128.load (local.get $px)))
          (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load (local.get $w0)))))
          (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $v) (v128.load (local.get $w1)))))
          (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $v) (v128.load (local.get $w2)))))
          (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $v) (v128.load (local.get $w3)))))
          (local.set $px (i32.add (local.get $px) (i32.const 16)))
          (local.set $w0 (i32.add (local.get $w0) (i32.const 16)))
          (local.set $w1 (i32.add (local.get $w1) (i32.const 16)))
          (local.set $w2 (i32.add (local.get $w2) (i32.const 16)))
          (local.set $w3 (i32.add (local.get $w3) (i32.const 16)))
          (br $four)))
        ;; four sums of four parts each become one vector of four sums: $a = (Σa, Σb, Σc, Σd)
        (local.set $v (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b))))
        (local.set $c (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $c) (local.get $d))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $c) (local.get $d))))
        (local.set $a (f32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $v) (local.get $c))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $v) (local.get $c))))
        ;; the columns that are left, one at a time
        (block $summed (loop $one
          (br_if $summed (i32.ge_u (local.get $px) (local.get $last)))
          (local.set $v (v128.load32_lane 1 (local.get $w1) (v128.load32_zero (local.get $w0))))
          (local.set $v (v128.load32_lane 3 (local.get $w3) (v128.load32_lane 2 (local.get $w2) (local.get $v))))
          (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load32_splat (local.get $px)))))
          (local.set $px (i32.add (local.get $px) (i32.const 4)))
          (local.set $w0 (i32.add (local.get $w0) (i32.const 4)))
          (local.set $w1 (i32.add (local.get $w1) (i32.const 4)))
          (local.set $w2 (i32.add (local.get $w2) (i32.const 4)))
          (local.set $w3 (i32.add (local.get $w3) (i32.const 4)))
          (br $one)))
        (local.set $px (i32.add (i32.add (local.get $out) (i32.mul (local.get $t) (local.get $outStep)))
          (i32.shl (local.get $r) (i32.const 2))))
        (if (i32.eq (local.get $group) (i32.const 4))
          (then (v128.store (local.get $px) (local.get $a)))
          (else (v128.store32_lane 0 (local.get $px) (local.get $a))))
        (local.set $t (i32.add (local.get $t) (i32.const 1)))
        (br $each)))
      (local.set $r (i32.add (local.get $r) (local.get $group)))
      (br $groups))))

  ;; ---- combine: out[i, c] += Σ_k y[i, k] · w[k, c] ---------------------------------------------------------------
  ;; y[i, k] lies at y + i · yStep + k · yNext, so that y may be read by columns: dW = dYᵀ · X is such a sum as well.
  ;; Sixteen columns of a row stay in registers while k runs; then four at a time, then one.
  (func (export "combine") (param $out i32) (param $outStep i32) (param $y i32) (param $yStep i32) (param $yNext i32)
      (param $rows i32) (param $w i32) (param $wStep i32) (param $terms i32) (param $columns i32)
    (local $i i32) (local $k i32) (local $po i32) (local $py i32) (local $pw i32) (local $left i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $v v128)
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
      (local.set $left (local.get $columns))
      (block $rowDone (loop $tiles
        (br_if $rowDone (i32.eqz (local.get $left)))
        (local.set $k (i32.shl (i32.sub (local.get $columns) (local.get $left)) (i32.const 2)))
        (local.set $pw (i32.add (local.get $w) (local.get $k)))
        (local.set $po (i32.add (local.get $out) (i32.mul (local.get $i) (local.get $outStep))))
        (local.set $po (i32.add (local.get $po) (local.get $k)))
        (local.set $py (i32.add (local.get $y) (i32.mul (local.get $i) (local.get $yStep))))
        (local.set $k (local.get $terms))
        (if (i32.ge_u (local.get $left) (i32.const 16)) (then
          (local.set $a (v128.load (local.get $po))) (local.set $b (v128.load offset=16 (local.get $po)))
          (local.set $c (v128.load offset=32 (local.get $po))) (local.set $d (v128.load offset=48 (local.get $po)))
          (block $end (loop $sum
            (br_if $end (i32.eqz (local.get $k)))
            (local.set $v (v128.load32_splat (local.get $py)))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load (local.get $pw)))))
            (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $v) (v128.load offset=16 (local.get $pw)))))
            (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $v) (v128.load offset=32 (local.get $pw)))))
            (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $v) (v128.load offset=48 (local.get $pw)))))
            (local.set $py (i32.add (local.get $py) (local.get $yNext)))
            (local.set $pw (i32.add (local.get $pw) (local.get $wStep)))
            (local.set $k (i32.sub (local.get $k) (i32.const 1)))
            (br $sum)))
          (v128.store (local.get $po) (local.get $a)) (v128.store offset=16 (local.get $po) (local.get $b))
          (v128.store offset=32 (local.get $po) (local.get $c)) (v128.store offset=48 (local.get $po) (local.get $d))
          (local.set $left (i32.sub (local.get $left) (i32.const 16)))
          (br $tiles)))
        (if (i32.ge_u (local.get $left) (i32.const 4)) (then
          (local.set $a (v128.load (local.get $po)))
          (block $end (loop $sum
            (br_if $end (i32.eqz (local.get $k)))
            (local.set $v (v128.load32_splat (local.get $py)))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load (local.get $pw)))))
            (local.set $py (i32.add (local.get $py) (local.get $yNext)))
            (local.set $pw (i32.add (local.get $pw) (local.get $wStep)))
            (local.set $k (i32.sub (local.get $k) (i32.const 1)))
            (br $sum)))
          (v128.store (local.get $po) (local.get $a))
          (local.set $left (i32.sub (local.get $left) (i32.const 4)))
          (br $tiles)))
        (local.set $a (v128.load32_zero (local.get $po)))
        (block $end (loop $sum
          (br_if $end (i32.eqz (local.get $k)))
          (local.set $v (v128.load32_splat (local.get $py)))
          (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (v128.load32_zero (local.get $pw)))))
          (local.set $py (i32.add (local.get $py) (local.get $yNext)))
          (local.set $pw (i32.add (local.get $pw) (local.get $wStep)))
          (local.set $k (i32.sub (local.get $k) (i32.const 1)))
          (br $sum)))
        (v128.store32_lane 0 (local.get $po) (local.get $a))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $tiles)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $each))))

  ;; ---- quantise: a block of 32 numbers as integers -----------------------------------------------------------------
  ;; X = round(x / scale) is at most 2²³ − 256. It is split as X = 256 · high + low, so that both parts fit int16, which
  ;; the processor multiplies eight at a time. (With 16 bits alone logits would move by 10⁻², with 24 by 10⁻⁴.) A block
  ;; takes 144 bytes: scale and Σx (float32), 8 bytes unused, 32 high parts, 32 low parts.
  (func (export "quantise") (param $x i32) (param $blocks i32) (param $to i32)
    (local $i i32) (local $max f32) (local $scale f32)
    (local $top v128) (local $sum v128) (local $v v128) (local $u v128)
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $blocks)))
      (local.set $top (v128.const i32x4 0 0 0 0)) (local.set $sum (local.get $top))
      (local.set $i (i32.const 128))
      (loop $look
        (local.set $i (i32.sub (local.get $i) (i32.const 16)))
        (local.set $v (v128.load (i32.add (local.get $x) (local.get $i))))
        (local.set $sum (f32x4.add (local.get $sum) (local.get $v)))
        (local.set $top (f32x4.max (local.get $top) (f32x4.abs (local.get $v))))
        (br_if $look (local.get $i)))
      (local.set $max (f32.max
        (f32.max (f32x4.extract_lane 0 (local.get $top)) (f32x4.extract_lane 1 (local.get $top)))
        (f32.max (f32x4.extract_lane 2 (local.get $top)) (f32x4.extract_lane 3 (local.get $top)))))
      (f32.store (local.get $to) (f32.div (local.get $max) (f32.const 8388352)))
      (f32.store offset=4 (local.get $to) (f32.add
        (f32.add (f32x4.extract_lane 0 (local.get $sum)) (f32x4.extract_lane 1 (local.get $sum)))
        (f32.add (f32x4.extract_lane 2 (local.get $sum)) (f32x4.extract_lane 3 (local.get $sum)))))
      ;; below 10⁻³⁰ a block is zero: its 1 / scale would overflow
      (local.set $scale (select (f32.const 0) (f32.div (f32.const 8388352) (local.get $max))
        (f32.lt (local.get $max) (f32.const 1e-30))))
      (loop $write ;; $i = 0, 16, …, 48: eight numbers at a time
        (local.set $v (i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul (f32x4.splat (local.get $scale))
          (v128.load (i32.add (local.get $x) (i32.shl (local.get $i) (i32.const 1))))))))
        (local.set $u (i32x4.trunc_sat_f32x4_s (f32x4.nearest (f32x4.mul (f32x4.splat (local.get $scale))
          (v128.load offset=16 (i32.add (local.get $x) (i32.shl (local.get $i) (i32.const 1))))))))
        (v128.store offset=16 (i32.add (local.get $to) (local.get $i)) (i16x8.narrow_i32x4_s
          (i32x4.shr_s (local.get $v) (i32.const 8)) (i32x4.shr_s (local.get $u) (i32.const 8))))
        (v128.store offset=80 (i32.add (local.get $to) (local.get $i)) (i16x8.narrow_i32x4_s
          (v128.and (local.get $v) (v128.const i32x4 255 255 255 255))
          (v128.and (local.get $u) (v128.const i32x4 255 255 255 255))))
        (br_if $write (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 16))) (i32.const 64))))
      (local.set $x (i32.add (local.get $x) (i32.const 128)))
      (local.set $to (i32.add (local.get $to) (i32.const 144)))
      (local.set $blocks (i32.sub (local.get $blocks) (i32.const 1)))
      (br $each))))

  ;; ---- unpack: the blocks of four rows as int16 --------------------------------------------------------------------
  ;; Weights lie by fours of rows and blocks of 32 columns: the rows' scales d (float16), with 4 bits their offsets m
  ;; too, then the integers q; the weights are d · q + m. In a vector of eight: two columns of each of the four rows,
  ;; (r₀c₀ r₀c₁ r₁c₀ r₁c₁ …). With 4 bits each int16 holds four such: 4 vectors of columns in 16 bytes. Unpacked, a
  ;; block takes 288 bytes: d and m (four float32 each), 16 vectors. Four float16 become float32 at once: the sign and
  ;; the other bits move to their places ($bits), and a factor of 2¹¹² corrects the exponent's bias.
  (func $unpack4 (param $w i32) (param $blocks i32) (param $to i32)
    (local $i i32) (local $v v128) (local $low v128) (local $bits v128) (local $bias v128)
    (local.set $low (v128.const i16x8 15 15 15 15 15 15 15 15))
    (local.set $bits (v128.const i32x4 0x8fffffff 0x8fffffff 0x8fffffff 0x8fffffff))
    (local.set $bias (v128.const i32x4 0x77800000 0x77800000 0x77800000 0x77800000))
    (loop $each
      (v128.store (local.get $to) (f32x4.mul (local.get $bias) (v128.and (local.get $bits)
        (i32x4.shl (v128.load16x4_s (local.get $w)) (i32.const 13)))))
      (v128.store offset=16 (local.get $to) (f32x4.mul (local.get $bias) (v128.and (local.get $bits)
        (i32x4.shl (v128.load16x4_s offset=8 (local.get $w)) (i32.const 13)))))
      (local.set $w (i32.add (local.get $w) (i32.const 16))) (local.set $to (i32.add (local.get $to) (i32.const 32)))
      (local.set $i (i32.const 4))
      (loop $vectors
        (local.set $v (v128.load (local.get $w)))
        (v128.store (local.get $to) (v128.and (local.get $v) (local.get $low)))
        (v128.store offset=16 (local.get $to)
          (v128.and (i16x8.shr_u (local.get $v) (i32.const 4)) (local.get $low)))
        (v128.store offset=32 (local.get $to)
          (v128.and (i16x8.shr_u (local.get $v) (i32.const 8)) (local.get $low)))
        (v128.store offset=48 (local.get $to) (i16x8.shr_u (local.get $v) (i32.const 12)))
        (local.set $w (i32.add (local.get $w) (i32.const 16))) (local.set $to (i32.add (local.get $to) (i32.const 64)))
        (br_if $vectors (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $each (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1))))))

  (func $unpack8 (param $w i32) (param $blocks i32) (param $to i32)
    (local $i i32)
    (loop $each
      (v128.store (local.get $to)
        (f32x4.mul (v128.const i32x4 0x77800000 0x77800000 0x77800000 0x77800000)
          (v128.and (v128.const i32x4 0x8fffffff 0x8fffffff 0x8fffffff 0x8fffffff)
            (i32x4.shl (v128.load16x4_s (local.get $w)) (i32.const 13)))))
      (v128.store offset=16 (local.get $to) (v128.const i32x4 0 0 0 0))
      (local.set $w (i32.add (local.get $w) (i32.const 8))) (local.set $to (i32.add (local.get $to) (i32.const 32)))
      (local.set $i (i32.const 4))
      (loop $vectors
        (v128.store (local.get $to) (v128.load8x8_s (local.get $w)))
        (v128.store offset=16 (local.get $to) (v128.load8x8_s offset=8 (local.get $w)))
        (v128.store offset=32 (local.get $to) (v128.load8x8_s offset=16 (local.get $w)))
        (v128.store offset=48 (local.get $to) (v128.load8x8_s offset=24 (local.get $w)))
        (local.set $w (i32.add (local.get $w) (i32.const 32))) (local.set $to (i32.add (local.get $to) (i32.const 64)))
        (br_if $vectors (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (br_if $each (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1))))))

  ;; ---- blockProducts: out[t, r] = Σ_c x[t, c] · (d · q + m)[r, c] --------------------------------------------------
  ;; Four rows are unpacked once and multiplied with each token's integers. dot_i16x8_s multiplies eight pairs and adds
  ;; neighbours: four int32, one a row. A block adds d · scale · (256 · Σ high·q + Σ low·q) + m · Σx.
  (func (export "blockProducts") (param $out i32) (param $outStep i32) (param $x i32) (param $tokens i32)
      (param $w i32) (param $bits i32) (param $rows i32) (param $blocks i32) (param $unpacked i32)
    (local $size i32) (local $t i32) (local $b i32) (local $i i32) (local $px i32) (local $pw i32) (local $po i32)
    (local $sum v128) (local $high v128) (local $low v128) (local $v v128) (local $scale v128)
    (local.set $size (i32.mul (local.get $blocks) (select (i32.const 80) (i32.const 136)
      (i32.eq (local.get $bits) (i32.const 4)))))
    (loop $groups
      (if (i32.eq (local.get $bits) (i32.const 4))
        (then (call $unpack4 (local.get $w) (local.get $blocks) (local.get $unpacked)))
        (else (call $unpack8 (local.get $w) (local.get $blocks) (local.get $unpacked))))
      (local.set $px (local.get $x)) (local.set $po (local.get $out)) (local.set $t (local.get $tokens))
      (loop $each
        (local.set $pw (local.get $unpacked)) (local.set $b (local.get $blocks))
        (local.set $sum (v128.const i32x4 0 0 0 0))
        (loop $sums
          (local.set $sum (f32x4.add (local.get $sum)
            (f32x4.mul (v128.load offset=16 (local.get $pw)) (v128.load32_splat offset=4 (local.get $px)))))
          (local.set $scale (f32x4.mul (v128.load (local.get $pw)) (v128.load32_splat (local.get $px))))
          (local.set $high (v128.const i32x4 0 0 0 0)) (local.set $low (local.get $high))
          (local.set $i (i32.const 8))
          (loop $columns ;; four a turn
            (local.set $v (v128.load offset=32 (local.get $pw)))
            (local.set $high (i32x4.add (local.get $high)
              (i32x4.dot_i16x8_s (local.get $v) (v128.load32_splat offset=16 (local.get $px)))))
            (local.set $low (i32x4.add (local.get $low)
              (i32x4.dot_i16x8_s (local.get $v) (v128.load32_splat offset=80 (local.get $px)))))
            (local.set $v (v128.load offset=48 (local.get $pw)))
            (local.set $high (i32x4.add (local.get $high)
              (i32x4.dot_i16x8_s (local.get $v) (v128.load32_splat offset=20 (local.get $px)))))
            (local.set $low (i32x4.add (local.get $low)
              (i32x4.dot_i16x8_s (local.get $v) (v128.load32_splat offset=84 (local.get $px)))))
            (local.set $pw (i32.add (local.get $pw) (i32.const 32)))
            (local.set $px (i32.add (local.get $px) (i32.const 8)))
            (br_if $columns (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
          (local.set $sum (f32x4.add (local.get $sum) (f32x4.mul (local.get $scale) (f32x4.add
            (f32x4.mul (f32x4.convert_i32x4_s (local.get $high)) (v128.const f32x4 256 256 256 256))
            (f32x4.convert_i32x4_s (local.get $low))))))
          (local.set $pw (i32.add (local.get $pw) (i32.const 32)))
          (local.set $px (i32.add (local.get $px) (i32.const 80)))
          (br_if $sums (local.tee $b (i32.sub (local.get $b) (i32.const 1)))))
        (v128.store (local.get $po) (local.get $sum))
        (local.set $po (i32.add (local.get $po) (local.get $outStep)))
        (br_if $each (local.tee $t (i32.sub (local.get $t) (i32.const 1)))))
      (local.set $out (i32.add (local.get $out) (i32.const 16)))
      (local.set $w (i32.add (local.get $w) (local.get $size)))
      (br_if $groups (local.tee $rows (i32.sub (local.get $rows) (i32.const 4))))))
)
