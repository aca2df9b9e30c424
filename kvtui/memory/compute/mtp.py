"""What the MTP graphs of llama.cpp's families share: the context that drafts beside the main one (graph_mtp in
src/models/*.cpp, LLM_GRAPH_TYPE_DECODER_MTP). A block takes the main model's last row and the token after it."""

from kvtui.memory.compute.build import Build, MissingTensorError
from kvtui.memory.compute.tape import F32, I32, Node


def joined(g: Build, il: int) -> Node:
    """The block's input: the token's embedding beside the main model's hidden row, each normed, projected to one row."""
    ids = g.input(I32, g.tokens, name="inp_tokens")
    hidden = g.input(F32, int(g.n_embd), g.tokens, name="mtp_h_input")
    embd = g.w("nextn.embed_tokens", il) or g.weight("token_embd.weight")
    if embd is None:
        raise MissingTensorError
    text = g.build_norm(g.get_rows(embd, ids), g.need("nextn.enorm", il), il)
    both = g.concat(text, g.build_norm(hidden, g.need("nextn.hnorm", il), il), 0)
    return g.mm(g.need("nextn.eh_proj", il), both, g.w("nextn.eh_proj", il, "scale"))


def head_norm(g: Build, cur: Node, il: int) -> Node:
    """The norm before the head: the block's own where it has one."""
    w = g.w("nextn.shared_head_norm", il) or g.w("layer_out_norm", il) or g.weight("output_norm.weight")
    return g.build_norm(cur, w, -1)


def draft_head(g: Build, cur: Node, il: int) -> None:
    """Logits by the block's own head, or by the model's."""
    own = g.w("nextn.shared_head_head", il)
    if own is None:
        cur = g.mm(g.output_weight(), cur, g.weight("output.scale"))
    else:
        cur = g.mm(own, cur, g.w("nextn.shared_head_head", il, "scale"))
    cur.name, cur.output = "result_output", True
    g.expand(cur)


def finish_picked(g: Build, cur: Node, il: int, out_ids: Node) -> None:
    """The end of families that pass on only the rows that are asked for, and before their norm."""
    cur = g.get_rows(cur, out_ids)
    cur.output = True  # t_h_nextn
    draft_head(g, head_norm(g, cur, il), il)


def finish_draft(g: Build, cur: Node, il: int, out_ids: Node | None) -> None:
    """The usual end: the normed rows of all tokens go on to the next draft, those that are asked for to the head. `out_ids`:
    None where they are all that is left."""
    cur = head_norm(g, cur, il)
    cur.output = True  # t_h_nextn (llm_graph_result::set_outputs)
    draft_head(g, cur if out_ids is None else g.get_rows(cur, out_ids), il)
