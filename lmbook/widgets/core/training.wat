;; What a training step does most, in WebAssembly with SIMD: two thirds of its products are of this form, and most of
;; the rest of its time goes into exponentials. Addresses and steps are in bytes, as in kernels.wat.
;;
;;   combinePairs  out[i, c] += Σ_k y[i, k] · w[k, c], as combine, for a multiple of 16 columns
;;   powers        x = e^((x − top) · scale) in place, and their sum
;;   gates         s = 1 / (1 + e^−g) and h = g · s · u
(module
  (import "env" "memory" (memory 1))

  ;; ---- combinePairs: out[i, c] += Σ_k y[i, k] · w[k, c] ----------------------------------------------------------
  ;; Two rows share the loads of w, and eight sums run beside each other, so that no addition waits for the one before.
  ;; An odd last row is its own partner: both do the same.
  (func (export "combinePairs") (param $out i32) (param $outStep i32) (param $y i32) (param $yStep i32)
      (param $yNext i32) (param $rows i32) (param $w i32) (param $wStep i32) (param $terms i32) (param $columns i32)
    (local $i i32) (local $c i32) (local $k i32) (local $pw i32) (local $py i32) (local $qy i32) (local $po i32)
    (local $qo i32) (local $v v128) (local $u v128) (local $w0 v128) (local $w1 v128) (local $w2 v128) (local $w3 v128)
    (local $a v128) (local $b v128) (local $d v128) (local $e v128)
    (local $f v128) (local $g v128) (local $h v128) (local $j v128)
    (block $done (loop $each
      (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
      (if (i32.eq (i32.add (local.get $i) (i32.const 1)) (local.get $rows)) ;; no row after this one
        (then (local.set $yStep (i32.const 0)) (local.set $outStep (i32.const 0))))
      (local.set $c (i32.const 0))
      (loop $tiles
        (local.set $pw (i32.add (local.get $w) (local.get $c)))
        (local.set $po (i32.add (local.get $out) (local.get $c)))
        (local.set $qo (i32.add (local.get $po) (local.get $outStep)))
        (local.set $py (local.get $y)) (local.set $qy (i32.add (local.get $y) (local.get $yStep)))
        (local.set $a (v128.load (local.get $po))) (local.set $b (v128.load offset=16 (local.get $po)))
        (local.set $d (v128.load offset=32 (local.get $po))) (local.set $e (v128.load offset=48 (local.get $po)))
        (local.set $f (v128.load (local.get $qo))) (local.set $g (v128.load offset=16 (local.get $qo)))
        (local.set $h (v128.load offset=32 (local.get $qo))) (local.set $j (v128.load offset=48 (local.get $qo)))
        (local.set $k (local.get $terms))
        (loop $sum
          (local.set $w0 (v128.load (local.get $pw))) (local.set $w1 (v128.load offset=16 (local.get $pw)))
          (local.set $w2 (v128.load offset=32 (local.get $pw))) (local.set $w3 (v128.load offset=48 (local.get $pw)))
          (local.set $v (v128.load32_splat (local.get $py)))
          (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $v) (local.get $w0))))
          (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $v) (local.get $w1))))
          (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $v) (local.get $w2))))
          (local.set $e (f32x4.add (local.get $e) (f32x4.mul (local.get $v) (local.get $w3))))
          (local.set $u (v128.load32_splat (local.get $qy)))
          (local.set $f (f32x4.add (local.get $f) (f32x4.mul (local.get $u) (local.get $w0))))
          (local.set $g (f32x4.add (local.get $g) (f32x4.mul (local.get $u) (local.get $w1))))
          (local.set $h (f32x4.add (local.get $h) (f32x4.mul (local.get $u) (local.get $w2))))
          (local.set $j (f32x4.add (local.get $j) (f32x4.mul (local.get $u) (local.get $w3))))
          (local.set $py (i32.add (local.get $py) (local.get $yNext)))
          (local.set $qy (i32.add (local.get $qy) (local.get $yNext)))
          (local.set $pw (i32.add (local.get $pw) (local.get $wStep)))
          (br_if $sum (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
        (v128.store (local.get $po) (local.get $a)) (v128.store offset=16 (local.get $po) (local.get $b))
        (v128.store offset=32 (local.get $po) (local.get $d)) (v128.store offset=48 (local.get $po) (local.get $e))
        (v128.store (local.get $qo) (local.get $f)) (v128.store offset=16 (local.get $qo) (local.get $g))
        (v128.store offset=32 (local.get $qo) (local.get $h)) (v128.store offset=48 (local.get $qo) (local.get $j))
        (local.set $c (i32.add (local.get $c) (i32.const 64)))
        (br_if $tiles (i32.lt_u (local.get $c) (i32.shl (local.get $columns) (i32.const 2)))))
      (local.set $y (i32.add (local.get $y) (i32.shl (local.get $yStep) (i32.const 1))))
      (local.set $out (i32.add (local.get $out) (i32.shl (local.get $outStep) (i32.const 1))))
      (local.set $i (i32.add (local.get $i) (i32.const 2)))
      (br $each))))

  ;; ---- e^x of four numbers -----------------------------------------------------------------------------------------
  ;; x = n · log 2 + r with a whole n and |r| ≤ 0.35: e^r is 1 + r + r²/2 + … + r⁶/720, right to 10⁻⁷, and 2ⁿ is n + 127
  ;; in the exponent's bits. log 2 is taken in two parts, so that r keeps its digits. Below −87 x counts as −87.
  (func $exp (param $x v128) (result v128)
    (local $n v128) (local $r v128)
    (local.set $x (f32x4.min (f32x4.max (local.get $x) (f32x4.splat (f32.const -87))) (f32x4.splat (f32.const 88))))
    (local.set $n (f32x4.nearest (f32x4.mul (local.get $x) (f32x4.splat (f32.const 1.44269504)))))
    (local.set $r (f32x4.sub (f32x4.sub (local.get $x)
      (f32x4.mul (local.get $n) (f32x4.splat (f32.const 0.693359375))))
      (f32x4.mul (local.get $n) (f32x4.splat (f32.const -0.000212194440)))))
    (local.set $x (f32x4.splat (f32.const 0.00138888889)))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 0.00833333333))))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 0.0416666667))))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 0.166666667))))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 0.5))))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 1))))
    (local.set $x (f32x4.add (f32x4.mul (local.get $x) (local.get $r)) (f32x4.splat (f32.const 1))))
    (f32x4.mul (local.get $x) (i32x4.shl
      (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (i32x4.splat (i32.const 127))) (i32.const 23))))

  ;; ---- powers: x = e^((x − top) · scale), `fours` times four numbers; their sum --------------------------------------
  ;; Below e^−50 they are 0: beside 1 they count for nothing, and products of numbers near 10^−38 take 20 times as long.
  (func (export "powers") (param $x i32) (param $fours i32) (param $top f32) (param $scale f32) (result f32)
    (local $v v128) (local $sum v128)
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $fours)))
      (local.set $v (f32x4.mul (f32x4.splat (local.get $scale))
        (f32x4.sub (v128.load (local.get $x)) (f32x4.splat (local.get $top)))))
      (local.set $v (v128.andnot (call $exp (local.get $v)) (f32x4.lt (local.get $v) (f32x4.splat (f32.const -50)))))
      (v128.store (local.get $x) (local.get $v))
      (local.set $sum (f32x4.add (local.get $sum) (local.get $v)))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (local.set $fours (i32.sub (local.get $fours) (i32.const 1)))
      (br $each)))
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $sum)) (f32x4.extract_lane 1 (local.get $sum)))
      (f32.add (f32x4.extract_lane 2 (local.get $sum)) (f32x4.extract_lane 3 (local.get $sum)))))

  ;; ---- gates: s = 1 / (1 + e^−g) and h = g · s · u, `fours` times four numbers ---------------------------------------
  ;; As above: where g is below −50, s is 0.
  (func (export "gates") (param $h i32) (param $s i32) (param $g i32) (param $u i32) (param $fours i32)
    (local $v v128) (local $one v128)
    (local.set $one (f32x4.splat (f32.const 1)))
    (block $done (loop $each
      (br_if $done (i32.eqz (local.get $fours)))
      (local.set $v (f32x4.div (local.get $one)
        (f32x4.add (local.get $one) (call $exp (f32x4.neg (v128.load (local.get $g)))))))
      (local.set $v (v128.andnot (local.get $v) (f32x4.lt (v128.load (local.get $g)) (f32x4.splat (f32.const -50)))))
      (v128.store (local.get $s) (local.get $v))
      (v128.store (local.get $h) (f32x4.mul (f32x4.mul (v128.load (local.get $g)) (local.get $v))
        (v128.load (local.get $u))))
      (local.set $h (i32.add (local.get $h) (i32.const 16))) (local.set $s (i32.add (local.get $s) (i32.const 16)))
      (local.set $g (i32.add (local.get $g) (i32.const 16))) (local.set $u (i32.add (local.get $u) (i32.const 16)))
      (local.set $fours (i32.sub (local.get $fours) (i32.const 1)))
      (br $each))))
)
