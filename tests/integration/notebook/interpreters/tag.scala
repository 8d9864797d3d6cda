object Tag {
  def text(s: String): String = "\"" + s.map(unit => "\\" + "u%04x".format(unit.toInt)).mkString + "\""

  def tag(v: Any): String = v match {
    case None => "[\"none\"]"
    case b: Boolean => s"""["bool", $b]"""
    case n @ (_: Int | _: Long | _: BigInt) => s"""["int", "$n"]"""
    case d: Double => s"""["float", "${if (d.isInfinity) (if (d > 0) "inf" else "-inf") else d.toString}"]"""
    case s: String => s"""["str", ${text(s)}]"""
    case list: Seq[_] => list.map(tag).mkString("[\"list\", [", ", ", "]]")
    case map: Map[_, _] =>
      map.map { case (key, it) => s"[${text(key.toString)}, ${tag(it)}]" }.mkString("[\"dict\", [", ", ", "]]")
  }
}
import Tag._
def emit(v: Any): Unit = println(tag(v))
