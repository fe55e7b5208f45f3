/// <reference lib="deno.unstable" />
// A rule for `deno lint`: no function has more than 60 lines. One that a whole script is wrapped in doesn't count.
const MOST = 60;

/** @type {Deno.lint.Plugin} */
export default {
  name: 'book',
  rules: {
    'function-length': {
      create(context) {
        /** @param {Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression} node */
        const check = (node) => {
          const { parent } = node;
          if (parent.type === 'CallExpression' && parent.callee === node) return;
          const lines = context.sourceCode.getText(node).split('\n').length;
          if (lines > MOST) context.report({ node, message: `a function of ${lines} lines; at most ${MOST}` });
        };
        return { FunctionDeclaration: check, FunctionExpression: check, ArrowFunctionExpression: check };
      },
    },
  },
};
