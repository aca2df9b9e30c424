"""Which tensors each architecture's load_arch_tensors (src/models/SOURCE.cpp of llama.cpp b11434) asks for, in ggml's order
of dimensions.

A paragraph a group of architectures: its names, then lines `when: tensors`. `model` is asked once; the others in every
block: `block` always, `dense` without experts, `experts` with them, `shared` with shared experts, `lead` in the
leading dense blocks and `after` in those after them, `attention` in those without recurrent state, `deep` from 64 blocks
on (src/models/command-r.cpp). `open`: there may be further tensors, as those of MTP blocks. A tensor is
`name[dimensions]`, its suffix `.weight` where none is given; `?`: not required. `@qkv[q,k,v]` is create_tensor_qkv
(src/llama-model.cpp): one tensor `attn_qkv` or three (src/models/phi3.cpp asks for none, and its graph ends
the server). Sizes are named as in `tensor_rules.Sizes`."""

TABLE = """
llama llama-embed mistral3 minicpm refact
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2] rope_factors_long?[rot/2]
  rope_factors_short?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_output.bias?[embd] ffn_norm[embd]
dense: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff] ffn_gate.bias?[ff] ffn_down.bias?[embd] ffn_up.bias?[ff]
experts: ffn_gate_inp[embd,experts] ffn_gate_exps?[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts]

granite granitemoe
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2] rope_factors_long?[rot/2]
  rope_factors_short?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_output.bias?[embd] ffn_norm[embd]
dense: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff] ffn_gate.bias?[ff] ffn_down.bias?[embd] ffn_up.bias?[ff]
experts: ffn_gate_inp[embd,experts] ffn_gate_exps?[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts]
shared: ffn_gate_shexp[embd,ff_shexp] ffn_up_shexp[embd,ff_shexp] ffn_down_shexp[ff_shexp,embd]

qwen2 qwen2vl dream
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] output.bias?[vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]

qwen3 qwen3vl
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] cls.output?[embd,labels]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

maincoder
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

qwen3moe qwen3vlmoe rnd1
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_up_exps[embd,ff_exp,experts]

mellum
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_up_exps[embd,ff_exp,experts]

qwen2moe
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_gate_inp[embd,experts]
  ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts] ffn_up_exps[embd,ff_exp,experts]
  ffn_gate_inp_shexp[embd] ffn_gate_shexp[embd,ff_shexp|ff] ffn_down_shexp[ff_shexp|ff,embd]
  ffn_up_shexp[embd,ff_shexp|ff]

qwen
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] attn_qkv[embd,embd*3] attn_qkv.bias[embd*3] attn_output[embd,embd] ffn_norm[embd]
  ffn_gate[embd,ff/2] ffn_down[ff/2,embd] ffn_up[embd,ff/2]

gemma
model: token_embd[embd,vocab] output_norm[embd]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] ffn_norm[embd] ffn_gate[embd,ff] ffn_up[embd,ff]
  ffn_down[ff,embd]

gemma2
model: token_embd[embd,vocab] output_norm[embd]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] post_attention_norm[embd] ffn_norm[embd] ffn_gate[embd,ff]
  ffn_up[embd,ff] ffn_down[ff,embd] post_ffw_norm[embd]

gemma3
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] dense_2?[embd,any] dense_3?[any,embd]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] post_attention_norm[embd] attn_k_norm[head_k]
  attn_q_norm[head_k] ffn_norm[embd] ffn_gate[embd,ff] ffn_up[embd,ff] ffn_down[ff,embd] post_ffw_norm[embd]

phi2
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab] output.bias[vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_output.bias[embd]
  ffn_down[ff,embd] ffn_down.bias[embd] ffn_up[embd,ff] ffn_up.bias[ff]

phi3
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_factors_long?[rot/2] rope_factors_short?[rot/2]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_down[ff,embd] ffn_up[embd,2*ff]

phimoe
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab] output.bias[vocab]
  rope_factors_long?[any] rope_factors_short?[any]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_output.bias[embd]
  ffn_norm[embd] ffn_norm.bias[embd] ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff,experts]
  ffn_down_exps[ff,embd,experts] ffn_up_exps[embd,ff,experts]

gpt-oss
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] post_attention_norm[embd] @qkv[heads*rot,heads_kv*rot,heads_kv*rot] attn_output[heads*rot,embd]
  attn_output.bias[embd] attn_sinks[heads] ffn_gate_inp[embd,experts] ffn_gate_inp.bias[experts]
  ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts] ffn_up_exps[embd,ff_exp,experts]
  ffn_gate_exps.bias[ff_exp,experts] ffn_down_exps.bias[embd,experts] ffn_up_exps.bias[ff_exp,experts]

smollm3
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] ffn_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]

exaone
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] ffn_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]

arcee
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] ffn_norm[embd] ffn_down[ff,embd] ffn_up[embd,ff]

seed_oss
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,heads_kv*head_k,heads_kv*head_k] attn_output[q,embd] post_attention_norm[embd]
  ffn_gate[embd,ff] ffn_up[embd,ff] ffn_down[ff,embd]

hunyuan-dense hunyuan_vl
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

internlm2 xverse baichuan
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]

orion
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_norm.bias[embd]
  ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

olmo
model: token_embd[embd,vocab] output?[embd,vocab]
block: @qkv[embd,v,v] attn_output[embd,embd] ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

olmo2
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: @qkv[embd,v,v] attn_output[embd,embd] attn_q_norm[embd] attn_k_norm[any] post_attention_norm[embd]
  ffn_gate[embd,ff] ffn_up[embd,ff] ffn_down[ff,embd] post_ffw_norm[embd]

olmoe
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_q_norm[embd] attn_k_norm[embd] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts]

minimax-m2
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: @qkv[q,v,v] attn_output[q,embd] attn_norm[embd] attn_q_norm[q] attn_k_norm[k] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts] exp_probs_b.bias[experts]

bailingmoe
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[heads*rot,heads_kv*rot,heads_kv*rot] attn_output[heads*rot,embd] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_up_exps[embd,ff_exp,experts] ffn_gate_shexp[embd,ff_exp*n_shared] ffn_down_shexp[ff_exp*n_shared,embd]
  ffn_up_shexp[embd,ff_exp*n_shared]

dots1
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[q,q,q] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
lead: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
after: ffn_gate_inp[embd,experts] exp_probs_b.bias?[experts] ffn_gate_exps[embd,ff_exp,experts]
  ffn_down_exps[ff_exp,embd,experts] ffn_up_exps[embd,ff_exp,experts] ffn_gate_shexp[embd,ff_exp*n_shared]
  ffn_down_shexp[ff_exp*n_shared,embd] ffn_up_shexp[embd,ff_exp*n_shared]

command-r
model: token_embd[embd,vocab] output_norm[embd]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
deep: attn_q_norm[head_k,heads] attn_k_norm[head_k,heads_kv]

cohere2
model: token_embd[embd,vocab] output_norm[embd]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

stablelm
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_q_norm?[head_k,heads]
  attn_k_norm?[head_k,heads_kv] ffn_norm?[embd] ffn_norm.bias?[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]

starcoder2
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_output.bias[embd]
  ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_up[embd,ff] ffn_down.bias[embd] ffn_up.bias[ff]

gpt2 starcoder
model: token_embd[embd,vocab] position_embd[embd,ctx] output_norm[embd] output_norm.bias[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] attn_qkv[embd,embd+2*v] attn_qkv.bias[embd+2*v] attn_output[embd,embd]
  attn_output.bias[embd] ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_down.bias[embd] ffn_up[embd,ff]
  ffn_up.bias[ff]

gptneox
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] attn_qkv[embd,embd+2*v] attn_qkv.bias[embd+2*v] attn_output[embd,embd]
  attn_output.bias[embd] ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_down.bias[embd] ffn_up[embd,ff]
  ffn_up.bias[ff]

bloom
model: token_embd[embd,vocab] token_embd_norm[embd] token_embd_norm.bias[embd] output_norm[embd]
  output_norm.bias[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] attn_qkv[embd,embd+2*v] attn_qkv.bias[embd+2*v] attn_output[embd,embd]
  attn_output.bias[embd] ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_down.bias[embd] ffn_up[embd,ff]
  ffn_up.bias[ff]

falcon
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] attn_norm_2?[embd] attn_norm_2.bias?[embd] attn_qkv[embd,embd+2*v]
  attn_output[embd,embd] ffn_down[ff,embd] ffn_up[embd,ff]

nemotron
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_output.bias?[embd]
  ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_up[embd,ff] ffn_down.bias?[embd] ffn_up.bias?[ff]

chatglm
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[embd,embd] ffn_norm[embd] ffn_up[embd,ff*2] ffn_down[ff,embd]

dbrx
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] attn_qkv[embd,embd+2*v] attn_output[embd,embd] attn_output_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts]

arctic
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_gate[embd,embd] ffn_down[embd,embd]
  ffn_up[embd,embd] ffn_gate_inp[embd,experts] ffn_norm_exps[embd] ffn_gate_exps[embd,ff,experts]
  ffn_down_exps[ff,embd,experts] ffn_up_exps[embd,ff,experts]

deepseek
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd]
lead: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
after: ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_up_exps[embd,ff_exp,experts] ffn_gate_shexp[embd,ff_exp*n_shared] ffn_down_shexp[ff_exp*n_shared,embd]
  ffn_up_shexp[embd,ff_exp*n_shared]

hunyuan-moe
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_k_norm[head_k] attn_q_norm[head_k] ffn_norm[embd]
  ffn_gate_inp[embd,experts] ffn_gate_exps[embd,ff,experts] ffn_down_exps[ff,embd,experts]
  ffn_up_exps[embd,ff,experts] ffn_gate_shexp[embd,ff_shexp|ff] ffn_up_shexp[embd,ff_shexp|ff]
  ffn_down_shexp[ff_shexp|ff,embd]

ernie4_5 paddleocr
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_output.bias?[embd] ffn_norm[embd] ffn_gate[embd,ff]
  ffn_down[ff,embd] ffn_up[embd,ff]

apertus
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab] rope_freqs?[rot/2] rope_factors_long?[rot/2]
  rope_factors_short?[rot/2]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] attn_output.bias?[embd] ffn_norm[embd] ffn_down[ff,embd]
  ffn_up[embd,ff] attn_q_norm[head_k] attn_q_norm.bias?[head_k] attn_k_norm[head_k] attn_k_norm.bias?[head_k]

pangu-embedded
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2] rope_factors_long?[rot/2]
  rope_factors_short?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_output.bias[embd] ffn_norm[embd] ffn_gate[embd,ff]
  ffn_down[ff,embd] ffn_up[embd,ff]

jais2
model: token_embd[embd,vocab] output_norm[embd] output_norm.bias[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[q,k,v] attn_output[q,embd] attn_output.bias[embd] ffn_norm[embd]
  ffn_norm.bias[embd] ffn_up[embd,ff] ffn_up.bias[ff] ffn_down[ff,embd] ffn_down.bias[embd]

mpt
model: token_embd[embd,vocab] position_embd?[embd,ctx] output_norm[embd] output_norm.bias?[embd] output?[embd,vocab]
block: attn_norm[embd] attn_norm.bias?[embd] attn_qkv[embd,embd+2*v] attn_qkv.bias?[embd+2*v] attn_output[embd,embd]
  attn_output.bias?[embd] ffn_norm[embd] ffn_norm.bias?[embd] ffn_down[ff,embd] ffn_down.bias?[embd] ffn_up[embd,ff]
  ffn_up.bias?[ff] attn_q_norm?[embd] attn_q_norm.bias?[embd] attn_k_norm?[embd] attn_k_norm.bias?[embd]
  ffn.act.scales?[ff]

plamo
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] @qkv[embd,v,v] attn_output[embd,embd] ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]

codeshell
model: token_embd?[embd,vocab] output_norm[embd] output_norm.bias[embd] output[embd,vocab]
block: attn_norm[embd] attn_norm.bias[embd] @qkv[embd,v,v] attn_output[embd,embd] attn_output.bias[embd]
  ffn_norm[embd] ffn_norm.bias[embd] ffn_down[ff,embd] ffn_down.bias[embd] ffn_up[embd,ff] ffn_up.bias[ff]

chameleon
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] attn_q_norm[head_k,heads] attn_k_norm[head_k,heads_kv] attn_q_norm.bias?[head_k,heads]
  attn_k_norm.bias?[head_k,heads_kv] @qkv[embd,v,v] attn_output[embd,embd] ffn_norm[embd] ffn_gate[embd,ff]
  ffn_down[ff,embd] ffn_up[embd,ff]

llada
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_output.bias?[embd] ffn_norm[embd] ffn_gate[embd,ff]
  ffn_down[ff,embd] ffn_up[embd,ff] ffn_gate.bias?[ff] ffn_down.bias?[embd] ffn_up.bias?[ff]

smallthinker
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,v,v] attn_output[q,embd] ffn_norm[embd] ffn_gate_inp[embd,experts]
  ffn_gate_exps[embd,ff_exp,experts] ffn_down_exps[ff_exp,embd,experts] ffn_up_exps[embd,ff_exp,experts]

glm4
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] post_attention_norm[embd] ffn_norm[embd] ffn_down[ff,embd]
  ffn_up[embd,ff*2] post_ffw_norm[embd]

exaone4
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab] rope_freqs?[rot/2]
block: @qkv[q,k,v] attn_output[embd,embd] post_attention_norm[embd] attn_q_norm[head_k] attn_k_norm[head_k]
  ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff] post_ffw_norm[embd]

glm4moe
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_q_norm?[head_k] attn_k_norm?[head_k]
  post_attention_norm[embd]
lead: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
after: ffn_gate_inp[embd,experts] exp_probs_b.bias[experts] ffn_gate_exps[embd,ff_exp,experts]
  ffn_down_exps[ff_exp,embd,experts] ffn_up_exps[embd,ff_exp,experts]

deepseek2 mistral4
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] attn_kv_a_norm[lora_kv] attn_kv_a_mqa[embd,lora_kv+rot] attn_output[any,embd] ffn_norm[embd]
lead: ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
after: ffn_gate_inp[embd,experts] exp_probs_b.bias?[experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_gate_shexp[embd,ff_exp*n_shared] ffn_down_shexp[ff_exp*n_shared,embd] ffn_up_shexp[embd,ff_exp*n_shared]

qwen35
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] post_attention_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd] ffn_up[embd,ff]
attention: @qkv[q*2,k,v] attn_output[q,embd] attn_q_norm[head_k] attn_k_norm[head_k]

qwen35moe
open: yes
model: token_embd[embd,vocab] output_norm[embd] output?[embd,vocab]
block: attn_norm[embd] post_attention_norm[embd] ffn_gate_inp[embd,experts] ffn_down_exps[ff_exp,embd,experts]
  ffn_gate_inp_shexp[embd] ffn_gate_shexp[embd,ff_shexp|ff] ffn_up_shexp[embd,ff_shexp|ff]
  ffn_down_shexp[ff_shexp|ff,embd]
attention: @qkv[q*2,k,v] attn_output[q,embd] attn_q_norm[head_k] attn_k_norm[head_k]

muse-glimmer
model: token_embd[embd,vocab] output_norm[embd] output[embd,vocab]
block: attn_norm[embd] post_attention_norm[embd] @qkv[q,k,v] attn_output[q,embd] attn_q_norm[head_k]
  attn_k_norm[head_k] attn_gate[embd,q] ffn_norm[embd] post_ffw_norm[embd] ffn_gate[embd,ff] ffn_down[ff,embd]
  ffn_up[embd,ff]
"""
